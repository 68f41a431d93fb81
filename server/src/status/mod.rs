//! `/status`: how the mirror is, for people and for scripts.
//!
//! Owns the words. Shows only what an operator would show a visitor: no address of the cache and no
//! poller's name. Computed for each request, because nearly every word depends on the time.

mod facts;
mod judge;
mod page;
mod report;
mod words;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::follow::Known;

pub use facts::Facts;
pub(crate) use page::Form;
pub(crate) use report::Report;

/// Where the status finds what this reader knows beside the published view.
#[derive(Clone, Debug)]
pub struct Watched {
    known: watch::Receiver<Known>,
    started_at: DateTime<Utc>,
}

impl Watched {
    /// Watches what a reader that starts now comes to know.
    pub fn new(known: watch::Receiver<Known>) -> Self {
        Self {
            known,
            started_at: Utc::now(),
        }
    }

    /// How everything is at a moment. Without facts, this reader has no snapshot yet.
    pub(crate) fn report(&self, facts: Option<&Facts>, now: DateTime<Utc>) -> Report {
        let known = self.known.borrow();
        Report::of(facts, &known, self.started_at, now)
    }
}
