//! Tracks the open connections of a listener: which ones to close when there are too many, and
//! which one may answer next.
//!
//! A full listener makes room by closing the connection with the oldest last request, so that idle
//! clients cannot keep out active ones. A connection with many waiting requests gets one answered,
//! and then the others have their turn.
//!
//! A connection whose answer is a stream leaves that order: it asks for nothing more, and should not
//! make room for others. It goes on as long as its client reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// All open connections of a listener.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    started: Instant,
    open: Arc<Mutex<Open>>,
    /// The places for connections.
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// Whether a new connection may answer only one more request.
    is_finishing: bool,
    /// Sorted by the time of the last request, then by number. The time may be out of date: a
    /// request updates only its connection, which gets its new place when it is first in the map.
    by_place: BTreeMap<(u64, u64), Arc<Connection>>,
    /// The connections whose answer is a stream, by number.
    streams: BTreeMap<u64, Arc<Connection>>,
}

impl Open {
    fn all(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.by_place.values().chain(self.streams.values())
    }
}

/// One open connection.
#[derive(Debug)]
struct Connection {
    /// When its last request began, or its stream last went on, or else when the connection began;
    /// in milliseconds since the start.
    last_request_ms: AtomicU64,
    /// The time in its key in the map; changes only under the lock.
    filed_ms: AtomicU64,
    /// Whether its answer is a stream.
    is_stream: AtomicBool,
    /// Whether a request was answered since its turn began.
    had_its_turn: AtomicBool,
    /// An [`End`], as a number; it only grows.
    end: AtomicU8,
    /// Wakes the connection's task. A task has the same waker all its life.
    task: OnceLock<Waker>,
}

/// How the listener wants a connection to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum End {
    /// Not yet.
    Open,
    /// After the answer to the request that it is reading or answering.
    Finish,
    /// At once.
    Close,
}

/// Keeps a connection in the list of open ones until dropped.
#[derive(Debug)]
pub(super) struct Entry {
    connections: Connections,
    number: u64,
    connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new(places: Arc<Semaphore>) -> Self {
        Self {
            started: Instant::now(),
            open: Arc::default(),
            places,
        }
    }

    /// Adds a new connection to the open ones.
    pub(super) fn enter(&self) -> Entry {
        let now = self.now_ms();
        let mut open = self.lock();
        let end = if open.is_finishing {
            End::Finish
        } else {
            End::Open
        };
        let connection = Arc::new(Connection {
            last_request_ms: AtomicU64::new(now),
            filed_ms: AtomicU64::new(now),
            is_stream: AtomicBool::new(false),
            had_its_turn: AtomicBool::new(false),
            end: AtomicU8::new(end as u8),
            task: OnceLock::new(),
        });
        let number = open.next;
        open.next += 1;
        open.by_place.insert((now, number), connection.clone());
        Entry {
            connections: self.clone(),
            number,
            connection,
        }
    }

    /// Asks the connection with the oldest last request to close.
    pub(super) fn close_idlest(&self) {
        let mut open = self.lock();
        // A connection with a newer request moves to its new place, at most once per request.
        while let Some(((filed, number), connection)) = open.by_place.pop_first() {
            let last_request = connection.last_request();
            let is_idlest = last_request == filed;
            // This connection has left the map, so the next call finds another one.
            if is_idlest {
                connection.end(End::Close);
                return;
            }
            connection.filed_ms.store(last_request, Ordering::Relaxed);
            open.by_place.insert((last_request, number), connection);
        }
    }

    /// Asks every connection without a request for longer than `limit` to close: it is idle, or its
    /// client does not read.
    pub(super) fn close_idle_for(&self, limit: Duration) {
        let now = self.now_ms();
        for connection in self.lock().all() {
            if u128::from(now.saturating_sub(connection.last_request())) > limit.as_millis() {
                connection.end(End::Close);
            }
        }
    }

    /// Asks every connection, and every new one, to end after the answer that it is working on.
    pub(super) fn finish(&self) {
        let mut open = self.lock();
        open.is_finishing = true;
        for connection in open.all() {
            connection.end(End::Finish);
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

    fn end(&self, end: End) {
        self.end.fetch_max(end as u8, Ordering::SeqCst);
        // A task that has no waker yet sees the mark in its first turn.
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Entry {
    /// Notes that the connection gets a turn: it may answer one request. Returns how the listener
    /// wants the connection to end.
    pub(super) fn turn(&self, context: &Context<'_>) -> End {
        let Connection {
            task,
            had_its_turn,
            end,
            ..
        } = &*self.connection;
        // First the waker, then the mark: a mark set later finds the waker.
        task.get_or_init(|| context.waker().clone());
        had_its_turn.store(false, Ordering::Relaxed);
        match end.load(Ordering::SeqCst) {
            0 => End::Open,
            1 => End::Finish,
            _ => End::Close,
        }
    }

    /// Notes that a request begins. Returns whether it may be answered in this turn; a turn is for
    /// one request.
    pub(super) fn may_answer(&self) -> bool {
        let now = self.connections.now_ms();
        let last_request = &self.connection.last_request_ms;
        last_request.store(now, Ordering::Relaxed);
        // Only the connection's own task reads and writes this.
        let had_its_turn = &self.connection.had_its_turn;
        let may = !had_its_turn.load(Ordering::Relaxed);
        had_its_turn.store(true, Ordering::Relaxed);
        may
    }

    /// Notes that the connection's answer is a stream, from now until the connection ends, and gives
    /// its place to another connection.
    pub(super) fn becomes_stream(&self) {
        let mut open = self.connections.lock();
        let filed = self.connection.filed_ms.load(Ordering::Relaxed);
        // If the listener has asked it to close, it has left the map.
        open.by_place.remove(&(filed, self.number));
        open.streams.insert(self.number, self.connection.clone());
        if !self.connection.is_stream.swap(true, Ordering::Relaxed) {
            self.connections.places.add_permits(1);
        }
    }

    /// Whether its answer is a stream.
    pub(super) fn is_stream(&self) -> bool {
        self.connection.is_stream.load(Ordering::Relaxed)
    }

    /// Notes that a stream goes on: its client has read enough that there is room for more.
    pub(super) fn goes_on(&self) {
        let now = self.connections.now_ms();
        self.connection
            .last_request_ms
            .store(now, Ordering::Relaxed);
    }

    /// Waits for the connection's next turn, which the request that waits then has.
    pub(super) async fn next_turn(&self) {
        tokio::task::yield_now().await;
        self.connection.had_its_turn.store(true, Ordering::Relaxed);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        let filed = self.connection.filed_ms.load(Ordering::Relaxed);
        open.by_place.remove(&(filed, self.number));
        open.streams.remove(&self.number);
    }
}
