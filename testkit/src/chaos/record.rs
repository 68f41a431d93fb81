//! What all parts of a run share: the model, the figures and the story so far.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::model::Model;
use super::promise::Violation;
use super::report::Figures;
use super::share::Share;
use super::trouble::Node;

/// How many lines of the story the record keeps.
const STORY: usize = 40;

/// Receives the run's progress, line by line.
pub(super) type Progress = Box<dyn Fn(&str) + Send + Sync>;

/// Shared by all tasks of a run. A task holds the lock for a moment, never across an await.
pub(super) struct Record {
    started: Instant,
    progress: Progress,
    broken: watch::Sender<bool>,
    known: Mutex<Known>,
}

/// What the run knows.
pub(super) struct Known {
    pub(super) model: Model,
    pub(super) share: Share,
    pub(super) figures: Figures,
    story: VecDeque<String>,
    logs: BTreeMap<String, Vec<String>>,
}

impl Record {
    pub(super) fn new(baseline: Vec<String>, progress: Progress) -> Self {
        Self {
            started: Instant::now(),
            progress,
            broken: watch::Sender::new(false),
            known: Mutex::new(Known {
                model: Model::new(baseline),
                share: Share::default(),
                figures: Figures::default(),
                story: VecDeque::new(),
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
        if !known.model.violations().is_empty() {
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

    /// Processes the lines that a process has logged.
    pub(super) fn logged(&self, node: Node, lines: Vec<String>) {
        let now = self.now();
        self.with(|known| {
            for line in &lines {
                let Ok(line) = serde_json::from_str::<Value>(line) else {
                    continue;
                };
                if let Node::Poller(poller) = node {
                    known.poller_said(poller, &line, now);
                }
            }
            known
                .logs
                .entry(node.to_string())
                .or_default()
                .extend(lines);
        });
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.known().model.violations().to_vec()
    }

    pub(super) fn story(&self) -> Vec<String> {
        self.known().story.iter().cloned().collect()
    }

    /// Writes every process's log into a directory of its own.
    pub(super) fn save_logs(&self, seed: u64) -> std::io::Result<PathBuf> {
        let directory = std::env::temp_dir().join(format!("ghibli-chaos-{seed}"));
        std::fs::create_dir_all(&directory)?;
        for (node, lines) in &self.known().logs {
            let file = directory.join(format!("{}.log", node.replace(' ', "-")));
            std::fs::write(file, lines.join("\n"))?;
        }
        Ok(directory)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known
            .lock()
            .expect("nothing panics while it holds the record")
    }
}

impl Known {
    fn poller_said(&mut self, poller: usize, line: &Value, now: Duration) {
        let number = |field: &str| line[field].as_u64().unwrap_or_default();
        let films = usize::try_from(number("films.count")).unwrap_or_default();
        let text = |field: &str| line[field].as_str().unwrap_or_default();
        match text("message") {
            "film released" => {
                self.figures.announced += 1;
                self.model.announced(number("sequence"), text("id"));
            }
            "sync finished" => {
                *self
                    .figures
                    .syncs
                    .entry(text("outcome").to_owned())
                    .or_default() += 1;
                self.model.sync_finished(poller, films);
            }
            "remembered what another poller committed" => self.model.remembered(poller, films),
            "took the lease, its holder does not know what was lost" => {
                self.figures.claimed += 1;
                self.share.out_of_turn(now);
            }
            _ => {}
        }
    }
}
