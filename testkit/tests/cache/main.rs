//! The whole mirror on a real Redis: failovers, silence, full memory, permissions, TLS, a cluster,
//! and several pollers. All are real processes.

mod deployed;
mod failover;
mod permissions;
mod pollers;
mod shapes;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::client::{get, hammer};
use testkit::process::{Poller, RunningPoller, RunningServer, Server};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};
use tokio::task::JoinHandle;

const EVERY_SECOND: &str = "* * * * * *";

const FILM: &str = "The Boy and the Heron";

/// An upstream, a poller that syncs every second, and readers that have loaded what it committed.
struct Mirror {
    upstream: Upstream,
    poller: RunningPoller,
    readers: Vec<RunningServer>,
}

impl Mirror {
    /// A mirror whose processes all use the same cache.
    async fn on(cache: &str, readers: usize) -> Self {
        let upstream = Upstream::start(catalogue());
        let poller = Poller::new(&upstream.url(), cache);
        Self::of(upstream, poller, &Server::new(cache), readers).await
    }

    async fn of(upstream: Upstream, poller: Poller, server: &Server, readers: usize) -> Self {
        let poller = poller.schedule(EVERY_SECOND).start().await;
        poller.synced("committed").await;
        let mut mirror = Self {
            upstream,
            poller,
            readers: Vec::new(),
        };
        for _ in 0..readers {
            let reader = server.start().await;
            reader.loaded().await;
            mirror.readers.push(reader);
        }
        mirror
    }

    /// Waits until every reader has a film, and returns how long this took.
    async fn shows(&self, title: &str) -> Duration {
        let started = Instant::now();
        for reader in &self.readers {
            let url = format!("{}/films", reader.url());
            let shown = async || get(&url).await.text().contains(title);
            eventually("the release", TIME_LIMIT, shown).await;
        }
        started.elapsed()
    }

    /// Sends requests to all readers until [`Load::stop`].
    fn load(&self) -> Load {
        let paths = ["films", "people", "movies", "db"];
        let urls: Vec<_> = self
            .readers
            .iter()
            .flat_map(|reader| paths.map(|path| format!("{}/{path}", reader.url())))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let hammering = tokio::spawn(async move {
            let mut answered = 0;
            while !stopped.load(Ordering::Relaxed) {
                let tally = hammer(&urls, 200, 4).await;
                assert!(tally.all_ok(), "{tally:?}");
                answered += tally.answered;
            }
            answered
        });
        Load { stop, hammering }
    }
}

/// Requests that run in the background.
struct Load {
    stop: Arc<AtomicBool>,
    hammering: JoinHandle<usize>,
}

impl Load {
    /// Ends the load. Returns the number of requests; each was answered with 200.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.hammering.await.expect("no request failed")
    }
}

/// How often a process logged a message.
fn times(process: &testkit::process::Process, message: &str) -> usize {
    let logs = process.logs();
    logs.iter().filter(|line| line["event"] == message).count()
}
