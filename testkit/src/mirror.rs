//! A whole mirror for tests of servers' answers: a stand-in upstream, a cache in its own directory,
//! and a poller that syncs on the test's command.
//!
//! Tests of schedules, outages and Redis start the processes themselves.

use http::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Poller, Process, RunningServer, Server, binaries};
use crate::upstream::Upstream;
use crate::{TIME_LIMIT, client, eventually};

/// An upstream and a cache. Dropping it removes both.
#[derive(Debug)]
pub struct Mirror {
    /// The stand-in upstream.
    pub upstream: Upstream,
    cache: TempDir,
}

impl Mirror {
    /// A mirror whose cache is empty.
    ///
    /// # Panics
    ///
    /// When the system refuses a temporary directory, or the catalogue is not valid.
    pub fn empty(catalogue: impl Into<Value>) -> Self {
        Self {
            upstream: Upstream::start(catalogue),
            cache: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A mirror whose cache holds the catalogue.
    ///
    /// # Panics
    ///
    /// When the first sync fails.
    pub async fn of(catalogue: impl Into<Value>) -> Self {
        let mirror = Self::empty(catalogue);
        mirror.sync().await;
        mirror
    }

    /// A mirror of the whole catalogue whose upstream is down and has never answered, so the cache
    /// holds the built-in catalogue.
    ///
    /// # Panics
    ///
    /// When the poller does not fill the cache.
    pub async fn built_in() -> Self {
        let mirror = Self::empty(crate::catalogue());
        mirror.upstream.go_down();
        let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url());
        let mut poller = poller.start().await;
        poller
            .process
            .wait_for_log("sync_completed", |_| true)
            .await;
        poller.process.kill().await;
        mirror
    }

    /// The cache's address.
    pub fn cache_url(&self) -> String {
        format!("file:{}", self.cache.path().display())
    }

    /// Syncs once.
    ///
    /// # Panics
    ///
    /// When the poller did not confirm everything; the message shows what the poller printed.
    pub async fn sync(&self) {
        let environment = [
            ("GHIBLI_API", self.upstream.url()),
            ("CACHE_URL", self.cache_url()),
        ];
        let mut sync = Process::spawn("poller", &binaries().poller, &["sync"], &environment);
        let status = sync.wait().await;
        assert!(status.success(), "{:?} {:?}", sync.stdout(), sync.stderr());
    }

    /// Starts a server of this cache with these environment variables, and waits until it has
    /// loaded the cache and compressed its bodies.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn server(&self, environment: &[(&str, &str)]) -> RunningServer {
        let server = Server::new(&self.cache_url());
        let server = environment
            .iter()
            .fold(server, |server, (name, value)| server.env(name, *value));
        let server = server.start().await;
        server.loaded().await;
        // The server is ready before that.
        let page = format!("{}/movies", server.url());
        let is_compressed = async || {
            let accept = [("accept-encoding", "br")];
            let answer = client::request(Method::GET, &page, &accept).await;
            answer.header("content-encoding").is_some()
        };
        eventually("compressed bodies", TIME_LIMIT, is_compressed).await;
        server
    }
}
