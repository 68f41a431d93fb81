//! Which connections are open, which of them to close when there are too many, and whose turn it
//! is.
//!
//! A listener that is full makes room by closing the connection whose last request is longest
//! ago, so that clients which do nothing cannot keep out those which do. A connection with many
//! requests in store gets one answered before others have their turn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// By the moment of the last request, as it was known when last looked at, and by number: a
    /// request is only noted in its connection, which is put into its place when it comes first.
    by_place: BTreeMap<(u64, u64), Arc<Connection>>,
}

/// One open connection.
#[derive(Debug)]
struct Connection {
    /// When its last request began, or else it itself, in milliseconds since the listener's start.
    last_request_ms: AtomicU64,
    /// The moment under which it is filed; changed only by whoever holds the lock.
    filed_ms: AtomicU64,
    /// Whether a request was answered since its turn began.
    had_its_turn: AtomicBool,
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
        let now = self.now_ms();
        let connection = Arc::new(Connection {
            last_request_ms: AtomicU64::new(now),
            filed_ms: AtomicU64::new(now),
            had_its_turn: AtomicBool::new(false),
            close: Notify::new(),
        });
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.by_place.insert((now, number), connection.clone());
        Entry {
            connections: self.clone(),
            number,
            connection,
        }
    }

    /// Tells the connection whose last request is longest ago to close.
    pub(super) fn close_idlest(&self) {
        let mut open = self.lock();
        // Those with newer requests are put where they belong, each at most once per request.
        while let Some(((filed, number), connection)) = open.by_place.pop_first() {
            let last_request = connection.last_request();
            let is_idlest = last_request == filed;
            // Once told, it has no place any more, and the next call finds another one.
            if is_idlest {
                connection.close.notify_one();
                return;
            }
            connection.filed_ms.store(last_request, Ordering::Relaxed);
            open.by_place.insert((last_request, number), connection);
        }
    }

    /// Tells every connection to close that has had no request for longer than this: it is idle,
    /// or its client does not read.
    pub(super) fn close_idle_for(&self, limit: Duration) {
        let now = self.now_ms();
        for connection in self.lock().by_place.values() {
            if u128::from(now.saturating_sub(connection.last_request())) > limit.as_millis() {
                connection.close.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Notes that the connection is looked at: it may answer one request.
    pub(super) fn turn(&self) {
        let had_its_turn = &self.connection.had_its_turn;
        had_its_turn.store(false, Ordering::Relaxed);
    }

    /// Notes that a request begins, and waits for the next turn if this one has had its request.
    pub(super) async fn request(&self) {
        let now = self.connections.now_ms();
        let last_request = &self.connection.last_request_ms;
        last_request.store(now, Ordering::Relaxed);
        if self.connection.had_its_turn.swap(true, Ordering::Relaxed) {
            tokio::task::yield_now().await;
            self.connection.had_its_turn.store(true, Ordering::Relaxed);
        }
    }

    /// Resolves when the connection is to be closed.
    pub(super) async fn told_to_close(&self) {
        self.connection.close.notified().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        let filed = self.connection.filed_ms.load(Ordering::Relaxed);
        open.by_place.remove(&(filed, self.number));
    }
}
