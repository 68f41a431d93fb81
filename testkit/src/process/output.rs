//! A process's output, line by line: limited in size, and tests can wait for lines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How many lines this keeps.
const KEPT: usize = 10_000;

/// A place in a process's log, after all lines that were there when the test took the mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark(usize);

/// One stream of a process. A background task fills it until the stream ends.
#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Mutex<Kept>,
    progress: watch::Sender<Progress>,
    reader: OnceLock<AbortHandle>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    dropped: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    lines: usize,
    ended: bool,
}

impl Output {
    pub(crate) fn capture(stream: impl AsyncRead + Unpin + Send + 'static) -> Arc<Self> {
        let output = Arc::new(Self::default());
        let writer = Arc::clone(&output);
        // Ends with the stream, when the process ends.
        let reader = tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
                writer.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            writer
                .progress
                .send_modify(|progress| progress.ended = true);
        });
        _ = output.reader.set(reader.abort_handle());
        output
    }

    /// Closes the stream, even if a process still writes to it.
    pub(crate) fn stop(&self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// The first of all lines in which `wanted` finds something.
    pub(crate) async fn find_from_start<T>(
        &self,
        wanted: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        self.find(Mark::default(), wanted).await
    }

    fn push(&self, line: String) {
        {
            let mut kept = self.kept();
            if kept.lines.len() == KEPT {
                kept.lines.pop_front();
                kept.dropped += 1;
            }
            kept.lines.push_back(line);
        }
        self.progress.send_modify(|progress| progress.lines += 1);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.kept().lines.iter().cloned().collect()
    }

    pub(crate) fn mark(&self) -> Mark {
        let kept = self.kept();
        Mark(kept.dropped + kept.lines.len())
    }

    pub(crate) fn since(&self, mark: Mark) -> (Vec<String>, Mark) {
        let (lines, end) = self.from(mark.0);
        (lines, Mark(end))
    }

    /// The first line from `mark` on in which `wanted` finds something; `None` when the stream
    /// ends without one.
    pub(crate) async fn find<T>(
        &self,
        mark: Mark,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        let mut progress = self.progress.subscribe();
        let mut next = mark.0;
        loop {
            let ended = progress.borrow_and_update().ended;
            let (lines, end) = self.from(next);
            if let Some(found) = lines.iter().find_map(|line| wanted(line)) {
                return Some(found);
            }
            next = end;
            if ended || progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Waits until the stream has ended.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self
            .progress
            .subscribe()
            .wait_for(|progress| progress.ended)
            .await;
    }

    /// The kept lines from `start` on, and the number of the line after them.
    fn from(&self, start: usize) -> (Vec<String>, usize) {
        let kept = self.kept();
        let lines = kept
            .lines
            .iter()
            .skip(start.saturating_sub(kept.dropped))
            .cloned()
            .collect();
        (lines, kept.dropped + kept.lines.len())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .expect("nothing panics while it holds the lines")
    }
}
