//! Many requests at once, counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::connection::Connection;

/// The results of the requests of [`hammer`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests with a complete answer, whatever its status.
    pub answered: usize,
    /// Requests without a complete answer.
    pub failed: usize,
    /// How often the server answered with each status.
    pub statuses: BTreeMap<u16, usize>,
    /// TCP connections opened; one for each worker if the server keeps them all alive.
    pub connections: usize,
    /// The longest time of one request, failed ones included.
    pub longest: Duration,
    /// Why the first failed request of one worker failed.
    pub first_failure: Option<String>,
}

impl Tally {
    /// Whether the server answered every request with 200.
    pub fn all_ok(&self) -> bool {
        self.failed == 0 && self.statuses.keys().all(|status| *status == 200)
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        for (status, times) in other.statuses {
            *self.statuses.entry(status).or_default() += times;
        }
        self.connections += other.connections;
        self.longest = self.longest.max(other.longest);
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// Sends `requests` GETs to `urls` in turn, from `concurrency` workers with one keep-alive
/// connection each, and counts the results.
///
/// # Panics
///
/// When `urls` is empty or `concurrency` is zero.
pub async fn hammer(urls: &[String], requests: usize, concurrency: usize) -> Tally {
    assert!(
        !urls.is_empty() && concurrency > 0,
        "a hammer needs something to hit and someone to"
    );
    let urls: Arc<[String]> = urls.into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        workers.spawn(work(Arc::clone(&urls), requests, Arc::clone(&next)));
    }
    let mut tally = Tally::default();
    for worker in workers.join_all().await {
        tally.add(worker);
    }
    tally
}

async fn work(urls: Arc<[String]>, requests: usize, next: Arc<AtomicUsize>) -> Tally {
    let mut tally = Tally::default();
    let mut connection = Connection::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= requests {
            tally.connections = connection.opened();
            return tally;
        }
        let started = Instant::now();
        match connection.get(&urls[index % urls.len()]).await {
            Ok(response) => {
                tally.answered += 1;
                *tally.statuses.entry(response.status).or_default() += 1;
            }
            Err(error) => {
                tally.failed += 1;
                tally
                    .first_failure
                    .get_or_insert_with(|| format!("{error:#}"));
            }
        }
        tally.longest = tally.longest.max(started.elapsed());
    }
}
