//! Log lines: one event a line on standard error, as JSON for machines or as text for people.
//!
//! Messages are fixed sentences; facts stand in fields with their units in the name. A line that
//! cannot be written is lost and counted; nothing else ever is.

mod level;

use std::fmt::{self, Debug};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use tracing::field::{Field, Visit};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::ChronoUtc;

pub use level::Level;

use crate::console;

/// How many lines wait to be written before more of them are lost.
const QUEUED_LINES: usize = 4096;

/// Counts the lines that found the queue full.
static OVERFLOW: OnceLock<ErrorCounter> = OnceLock::new();

/// Counts the lines that standard error did not take.
static UNWRITTEN: AtomicUsize = AtomicUsize::new(0);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl Format {
    /// The forms, for `--help`.
    pub const HELP: &str = "How log lines look: json, or text for people";
}

/// Keeps the writer of log lines alive. Dropping it waits a moment for the last lines, and no
/// longer: standard error may be a pipe that nobody reads.
#[must_use = "log lines are lost once this is dropped"]
#[derive(Debug)]
pub struct Logging {
    _writer: WorkerGuard,
}

/// Starts logging for the whole process, panics included. Called once, first thing in `main`.
pub fn start(format: Format, level: &Level) -> Logging {
    // A thread of its own writes, so that a slow or dead log collector delays nobody.
    let (lines, writer) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(StandardError::default());
    _ = OVERFLOW.set(lines.error_counter());
    let builder = tracing_subscriber::fmt()
        .with_writer(lines)
        .log_internal_errors(false)
        .with_env_filter(level.filter());
    match format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .init(),
        Format::Text => builder
            .with_target(false)
            .fmt_fields(Plain)
            .with_timer(ChronoUtc::new("%H:%M:%S".into()))
            .with_ansi(console::is_colourful(&io::stderr()))
            .init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("not text");
        tracing::error!(location, reason, "a task panicked");
    }));
    Logging { _writer: writer }
}

/// How many log lines could not be written since the process started.
pub fn lost_lines() -> usize {
    let overflow = OVERFLOW.get().map_or(0, ErrorCounter::dropped_lines);
    UNWRITTEN.load(Ordering::Relaxed) + overflow
}

/// Standard error as the sink of log lines: a line that cannot be written is counted and forgotten.
#[derive(Debug, Default)]
struct StandardError {
    /// How many lines were lost when this was last logged.
    reported: usize,
    /// Whether the last line was written in part, so that the next one must not follow it directly.
    is_torn: bool,
}

impl Write for StandardError {
    /// Takes a whole line, always.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut error = io::stderr();
        let separator: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let written = error
            .write_all(separator)
            .and_then(|()| error.write_all(line));
        self.is_torn = written.is_err();
        if self.is_torn {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let lost_lines = lost_lines();
        if lost_lines > self.reported {
            self.reported = lost_lines;
            tracing::warn!(lost_lines, "log lines could not be written");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fields as people read them: `name=value`, quotes only where they help, and nothing about a
/// collection in which nothing happened.
struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = PlainVisitor {
            writer,
            outcome: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.outcome
    }
}

struct PlainVisitor<'writer> {
    writer: Writer<'writer>,
    outcome: fmt::Result,
}

impl PlainVisitor<'_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            "message" => write!(self.writer, "{value}"),
            name => write!(self.writer, " {name}={value}"),
        };
        self.outcome = self.outcome.and(written);
    }
}

impl Visit for PlainVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_quiet = matches!(value, "not_modified" | "unchanged");
        if is_quiet && part_of_collection(field) == Some("result") {
            return;
        }
        let is_word = !value.is_empty() && value.chars().all(|it| it.is_ascii_graphic());
        if is_word {
            self.write(field, format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match part_of_collection(field) {
            Some("count") => {}
            Some(_) if value == 0 => {}
            _ => self.write(field, format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

/// `count` of `films.count`.
fn part_of_collection(field: &Field) -> Option<&str> {
    field.name().split_once('.').map(|(_collection, part)| part)
}
