//! The poller and the server, configured for tests: JSON logs and free ports. Everything else keeps
//! the programs' own defaults.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Process, binaries};
use crate::client::get;
use crate::{TIME_LIMIT, eventually};

/// A poller that is not started yet.
#[derive(Debug, Clone)]
pub struct Poller(Configuration);

/// A poller whose schedule runs.
#[derive(Debug)]
pub struct RunningPoller {
    /// The process itself.
    pub process: Process,
    /// `host:port` of its admin server.
    pub admin_address: String,
}

/// A server that is not started yet.
#[derive(Debug, Clone)]
pub struct Server(Configuration);

/// A server that accepts connections.
#[derive(Debug)]
pub struct RunningServer {
    /// The process itself.
    pub process: Process,
    /// `host:port` on which it serves.
    pub address: String,
    /// `host:port` of its admin server.
    pub admin_address: String,
}

impl Poller {
    /// A poller for this upstream and this cache.
    pub fn new(upstream_url: &str, cache_url: &str) -> Self {
        Self(
            Configuration::new(cache_url)
                .with("GHIBLI_API", upstream_url)
                .with("ADMIN_ADDR", "127.0.0.1:0"),
        )
    }

    /// Sets the schedule: cron with six fields, seconds first, in UTC.
    #[must_use]
    pub fn schedule(self, cron: &str) -> Self {
        self.env("POLL_SCHEDULE", cron)
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(self, key: &str, value: impl Into<String>) -> Self {
        Self(self.0.with(key, value))
    }

    /// Starts the process without a wait, for tests of failing starts.
    pub fn spawn(&self) -> Process {
        Process::spawn("ghibli-poller", binaries().poller, NO_ARGS, &self.0.pairs())
    }

    /// Starts the poller, and waits until it reports that it polls.
    ///
    /// # Panics
    ///
    /// When it does not; the message shows its last lines.
    pub async fn start(&self) -> RunningPoller {
        RunningPoller::ready(self.spawn()).await
    }
}

impl RunningPoller {
    /// Waits until a spawned poller reports that it polls.
    ///
    /// # Panics
    ///
    /// When it does not; the message shows its last lines.
    pub async fn ready(process: Process) -> Self {
        let log = process.wait_for_log("poller_started", |_| true).await;
        Self {
            admin_address: text(&log, "admin_address"),
            process,
        }
    }

    /// Waits for a sync with this outcome, such as `committed`, and returns its log line.
    ///
    /// # Panics
    ///
    /// When there is none; the message shows the last lines.
    pub async fn synced(&self, outcome: &str) -> Value {
        self.process
            .wait_for_log("sync_completed", |line| line["outcome"] == outcome)
            .await
    }

    /// Returns the log line of the first sync that begins after this call. A sync that already runs
    /// may have asked the upstream before the caller's change, so it does not count.
    ///
    /// # Panics
    ///
    /// When no such line comes, or a line has no time; the message shows the last lines.
    pub async fn next_sync(&self) -> Value {
        let (now, mark) = (Utc::now(), self.process.mark());
        // Syncs run one after another: each begins after the log line of the one before.
        let mut begins_later = false;
        let is_it = |line: &Value| {
            let ended: DateTime<Utc> = text(line, "timestamp").parse().expect("a timestamp");
            std::mem::replace(&mut begins_later, ended > now)
        };
        self.process
            .wait_for_log_since(mark, "sync_completed", is_it)
            .await
    }

    /// The base URL of the admin server.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin_address)
    }
}

impl Server {
    /// A server that reads this cache.
    pub fn new(cache_url: &str) -> Self {
        Self(
            Configuration::new(cache_url)
                .with("LISTEN_ADDR", "127.0.0.1:0")
                .with("ADMIN_ADDR", "127.0.0.1:0"),
        )
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(self, key: &str, value: impl Into<String>) -> Self {
        Self(self.0.with(key, value))
    }

    /// Starts the process without a wait, for tests of failing starts.
    pub fn spawn(&self) -> Process {
        Process::spawn("ghibli-server", binaries().server, NO_ARGS, &self.0.pairs())
    }

    /// Starts the server, and waits until it reports that it serves.
    ///
    /// # Panics
    ///
    /// When it does not; the message shows its last lines.
    pub async fn start(&self) -> RunningServer {
        RunningServer::ready(self.spawn()).await
    }
}

impl RunningServer {
    /// Waits until a spawned server reports that it serves.
    ///
    /// # Panics
    ///
    /// When it does not; the message shows its last lines.
    pub async fn ready(process: Process) -> Self {
        let log = process.wait_for_log("server_started", |_| true).await;
        Self {
            address: text(&log, "address"),
            admin_address: text(&log, "admin_address"),
            process,
        }
    }

    /// Waits until the server has loaded the cache.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn loaded(&self) {
        let url = format!("{}/readyz", self.admin_url());
        let is_ready = async || get(&url).await.status == 200;
        eventually("the server to be ready", TIME_LIMIT, is_ready).await;
    }

    /// Waits until the films contain this text.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub async fn shows(&self, text: &str) {
        let url = format!("{}/films", self.url());
        let is_shown = async || get(&url).await.text().contains(text);
        eventually(text, TIME_LIMIT, is_shown).await;
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL of the admin server.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin_address)
    }
}

/// Only environment variables configure the programs.
const NO_ARGS: &[&str] = &[];

/// Environment variables; a later value replaces an earlier one.
#[derive(Debug, Clone)]
struct Configuration(Vec<(String, String)>);

impl Configuration {
    fn new(cache_url: &str) -> Self {
        Self(Vec::new())
            .with("CACHE_URL", cache_url)
            .with("LOG_FORMAT", "json")
    }

    fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.retain(|(known, _)| known != key);
        self.0.push((key.to_owned(), value.into()));
        self
    }

    fn pairs(&self) -> Vec<(&str, String)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect()
    }
}

fn text(log: &Value, field: &str) -> String {
    log[field]
        .as_str()
        .unwrap_or_else(|| panic!("the start log has no text in {field}: {log}"))
        .to_owned()
}
