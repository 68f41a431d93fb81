//! What the stand-in's connections and the test share.

use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::fault::Faults;
use super::journal::Journal;

/// What connections and the test share. Locks last a moment, never across an await.
#[derive(Debug)]
pub(super) struct State {
    pub(super) catalogue: Mutex<Value>,
    pub(super) faults: Mutex<Faults>,
    pub(super) journal: Journal,
}

impl State {
    pub(super) fn catalogue(&self) -> MutexGuard<'_, Value> {
        self.catalogue
            .lock()
            .expect("no edit of the catalogue panicked")
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("no edit of the faults panicked")
    }
}
