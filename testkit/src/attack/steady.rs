//! A well-behaved client: asks for the films at a steady, modest rate, and records each answer's
//! time, counted from the moment at which the request was due.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::Connection;

/// The time between two requests.
pub const PACE: Duration = Duration::from_millis(20);

/// After this many requests, the client opens a new connection.
const RENEWAL: usize = 10;

/// The path that the client asks for.
const PATH: &str = "/films";

/// What a well-behaved client has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How long each request took, failed ones included, sorted from short to long.
    pub times: Vec<Duration>,
    /// Requests that were not answered as expected.
    pub failed: usize,
    /// Why the first failed request failed.
    pub first_failure: Option<String>,
}

impl Seen {
    /// The time within which this percentage of requests was answered; zero without requests.
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.times.len() * percent).div_ceil(100).max(1) - 1;
        self.times.get(place).copied().unwrap_or_default()
    }
}

/// A well-behaved client at work. Dropping it ends it.
#[derive(Debug)]
pub struct Steady {
    stop: Option<oneshot::Sender<()>>,
    asked: Arc<AtomicUsize>,
    work: JoinHandle<Seen>,
}

impl Steady {
    /// Starts to ask for the films and expects the same body each time. `url` has no slash at the
    /// end.
    pub fn start(url: &str, expected: Bytes) -> Self {
        let (stop, stopped) = oneshot::channel();
        let url = format!("{url}{PATH}");
        let asked = Arc::new(AtomicUsize::new(0));
        let work = tokio::spawn(ask(url, expected, stopped, Arc::clone(&asked)));
        Self {
            stop: Some(stop),
            asked,
            work,
        }
    }

    /// How many requests have ended so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends after the current request, and returns what the client saw.
    ///
    /// # Panics
    ///
    /// When the client's task panicked.
    pub async fn stop(mut self) -> Seen {
        drop(self.stop.take());
        let mut seen = self.work.await.expect("the client does not panic");
        seen.times.sort_unstable();
        seen
    }
}

async fn ask(
    url: String,
    expected: Bytes,
    mut stopped: oneshot::Receiver<()>,
    asked: Arc<AtomicUsize>,
) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::new();
    let mut pace = interval(PACE);
    // After a slow answer, the client sends the late requests at once, and their waiting time
    // counts.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let wanted = tokio::select! {
            biased;
            _ = &mut stopped => return seen,
            wanted = pace.tick() => wanted,
        };
        if seen.times.len() % RENEWAL == RENEWAL - 1 {
            connection = Connection::new();
        }
        let problem = match connection.get(&url).await {
            Ok(answer) if answer.status != 200 => Some(format!("status {}", answer.status)),
            Ok(answer) if answer.body != expected => Some("another body".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        seen.times.push(wanted.into_std().elapsed());
        asked.fetch_add(1, Ordering::Relaxed);
        if let Some(problem) = problem {
            seen.failed += 1;
            seen.first_failure.get_or_insert(problem);
        }
    }
}
