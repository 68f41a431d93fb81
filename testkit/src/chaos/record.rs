//! What all parts of a run share: the model, the figures and the logs so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::watch;

use super::model::{Model, Stored};
use super::report::{ATOMIC, Figures};
use super::schedule::Node;
use super::share::Share;

/// Shared by all tasks of a run. A task holds the lock for a moment, never across an await.
pub(super) struct Record {
    started: Instant,
    progress: Box<dyn Fn(&str) + Send + Sync>,
    broken: watch::Sender<bool>,
    known: Mutex<Known>,
}

/// What the run knows.
pub(super) struct Known {
    pub(super) model: Model,
    pub(super) share: Share,
    pub(super) figures: Figures,
    /// Since the last quiet, a poller's time was wrong or stood still.
    pub(super) wrong_time: bool,
    /// When the last sync that was seen began, as the status has it.
    last_sync: Value,
    logs: BTreeMap<String, Vec<String>>,
}

impl Record {
    pub(super) fn new(
        baseline: Vec<String>,
        progress: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            started: Instant::now(),
            progress: Box::new(progress),
            broken: watch::Sender::new(false),
            known: Mutex::new(Known {
                model: Model::new(baseline),
                share: Share::default(),
                figures: Figures::default(),
                wrong_time: false,
                last_sync: Value::Null,
                logs: BTreeMap::new(),
            }),
        }
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Reads or changes what the run knows.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known();
        let seen = look(&mut known);
        if !known.model.violations.is_empty() {
            self.broken.send_replace(true);
        }
        seen
    }

    /// Resolves when the mirror breaks a promise.
    pub(super) async fn broken(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.broken.subscribe().wait_for(|broken| *broken).await;
    }

    /// Reports an event.
    pub(super) fn log_event(&self, line: &str) {
        (self.progress)(&format!("{:6.1} s  {line}", self.now().as_secs_f64()));
    }

    /// Keeps the lines that a process has logged. Of all log lines only announcements are read, and
    /// those by their fields: no other line of a poller has a sequence number and an id.
    pub(super) fn logged(&self, node: Node, lines: Vec<String>) {
        self.with(|known| {
            for line in &lines {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                if let (Some(sequence), Some(id)) = (line["sequence"].as_u64(), line["id"].as_str())
                {
                    known.figures.announced += 1;
                    known.model.announced(sequence, id);
                }
            }
            let log = known.logs.entry(format!("{node:?}")).or_default();
            log.extend(lines);
        });
    }

    /// The cache holds this; before the look, so many films were committed.
    pub(super) fn looked(&self, status: &Value, stored: Option<Stored>, least: usize) {
        let now = self.now();
        self.with(|known| {
            // Until the next sync, ages mean nothing.
            let finished = status["finished_at"]
                .as_str()
                .and_then(|at| at.parse().ok());
            known.wrong_time |= finished.is_some_and(|at: DateTime<Utc>| at > Utc::now());
            let sync = &status["started_at"];
            if !sync.is_null() && known.last_sync != *sync {
                known.last_sync = sync.clone();
                known.figures.syncs[0] += 1;
                known.figures.syncs[1] += usize::from(status["failures_in_a_row"] != 0);
            }
            let generations = stored
                .as_ref()
                .map(|stored| (stored.generation, &status["generation"]));
            if let Some((snapshot, status)) = generations.filter(|(one, other)| **other != *one) {
                let seen = format!("snapshot {snapshot} is stored with the status of {status}");
                known.model.broken(ATOMIC, seen);
            }
            if known.model.looked(now, stored, least) {
                known.share.out_of_turn(now);
            }
            known.figures.logged = known.model.logged.len();
        });
    }

    /// The figures of a good run; or the figures and the broken promises. Then it writes every
    /// process's log into a directory.
    pub(super) fn outcome(&self, seed: u64) -> Result<String, String> {
        let known = self.known();
        let mut violations = known.model.violations.clone();
        // A broken promise ends the run early, so only a good run must have exercised everything.
        if violations.is_empty() {
            violations.extend(known.figures.unexercised(seed));
        }
        let figures = &known.figures;
        if violations.is_empty() {
            return Ok(format!("{figures}every promise was kept"));
        }
        let directory = std::env::temp_dir().join(format!("ghibli-chaos-{seed}"));
        std::fs::create_dir_all(&directory).expect("a directory for logs");
        for (node, lines) in &known.logs {
            let file = directory.join(format!("{node}.log"));
            std::fs::write(file, lines.join("\n")).expect("logs can be written");
        }
        let broken = |(promise, seen)| format!("broken: {promise}\n  seen: {seen}\n");
        let broken: String = violations.into_iter().map(broken).collect();
        let logs = directory.display();
        Err(format!(
            "{figures}\n{broken}\nlogs of all processes: {logs}"
        ))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known
            .lock()
            .expect("nothing panics while it holds the record")
    }
}
