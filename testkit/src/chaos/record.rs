//! What all parts of a run share: the model, the figures and the story so far.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::model::{Model, Stored};
use super::report::Figures;
use super::schedule::Node;
use super::share::Share;

/// How many lines of the story the record keeps.
const STORY: usize = 40;

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
    pub(super) story: VecDeque<String>,
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
                story: VecDeque::new(),
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

    /// Adds a line to the story.
    pub(super) fn log_event(&self, line: &str) {
        let line = format!("{:6.1} s  {line}", self.now().as_secs_f64());
        (self.progress)(&line);
        let mut known = self.known();
        if known.story.len() == STORY {
            known.story.pop_front();
        }
        known.story.push_back(line);
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

    /// The cache holds this.
    pub(super) fn looked(&self, status: &Value, stored: Option<Stored>) {
        let now = self.now();
        self.with(|known| {
            let sync = &status["started_at"];
            if !sync.is_null() && known.last_sync != *sync {
                known.last_sync = sync.clone();
                known.figures.syncs[0] += 1;
                known.figures.syncs[1] += usize::from(status["failures_in_a_row"] != 0);
            }
            let before = known.model.holder().map(str::to_owned);
            known.model.looked(now, stored);
            known.figures.logged = known.model.logged();
            // A poller that remembers more takes the lease from one that started anew.
            if before.as_deref() != known.model.holder() && known.model.has_lost_the_cache() {
                known.share.out_of_turn(now);
            }
        });
    }

    /// Writes every process's log into a directory of its own.
    pub(super) fn save_logs(&self, seed: u64) -> std::io::Result<PathBuf> {
        let directory = std::env::temp_dir().join(format!("ghibli-chaos-{seed}"));
        std::fs::create_dir_all(&directory)?;
        for (node, lines) in &self.known().logs {
            std::fs::write(directory.join(format!("{node}.log")), lines.join("\n"))?;
        }
        Ok(directory)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known
            .lock()
            .expect("nothing panics while it holds the record")
    }
}
