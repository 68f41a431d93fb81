//! Which connections are open, and which of them to close when there are too many.
//!
//! A listener that is full makes room by closing the connection whose last request is longest
//! ago, so that clients which do nothing cannot keep out those which do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// All open connections of a listener.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    started: Instant,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Arc<Connection>>,
}

/// One open connection.
#[derive(Debug)]
struct Connection {
    /// When its last request began, or else it itself, in milliseconds since the listener's start.
    last_request_ms: AtomicU64,
    close: Notify,
}

/// Keeps a connection among the open ones for as long as it is held.
#[derive(Debug)]
pub(super) struct Entry {
    connections: Connections,
    number: u64,
    connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            open: Arc::default(),
        }
    }

    /// Takes a new connection among the open ones.
    pub(super) fn enter(&self) -> Entry {
        let connection = Arc::new(Connection {
            last_request_ms: AtomicU64::new(self.now_ms()),
            close: Notify::new(),
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, connection.clone());
        Entry {
            connections: self.clone(),
            number,
            connection,
        }
    }

    /// Tells the connection whose last request is longest ago to close.
    pub(super) fn close_idlest(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let idlest = open
            .by_number
            .values()
            .min_by_key(|connection| connection.last_request());
        if let Some(connection) = idlest {
            connection.close.notify_one();
            // The next call has to find another one.
            connection
                .last_request_ms
                .store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// Tells every connection to close that has had no request for longer than this: it is idle,
    /// or its client does not read.
    pub(super) fn close_idle_for(&self, limit: Duration) {
        let now = self.now_ms();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in open.by_number.values() {
            if u128::from(now.saturating_sub(connection.last_request())) > limit.as_millis() {
                connection.close.notify_one();
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Connection {
    fn last_request(&self) -> u64 {
        self.last_request_ms.load(Ordering::Relaxed)
    }
}

impl Entry {
    /// Notes that a request begins. Cheap enough to be called for each.
    pub(super) fn request(&self) {
        self.connection
            .last_request_ms
            .store(self.connections.now_ms(), Ordering::Relaxed);
    }

    /// Resolves when the connection is to be closed.
    pub(super) async fn told_to_close(&self) {
        self.connection.close.notified().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.by_number.remove(&self.number);
    }
}
