//! Log lines: one event a line on standard error, as JSON for machines or as text for people.
//!
//! Messages are fixed sentences; facts are in fields, with the unit in the name. A line that cannot
//! be written is lost and counted; no other line is ever lost.

mod level;
mod queue;

use std::fmt::{self, Debug};
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::ChronoUtc;

pub use level::Level;
use queue::Queue;

use crate::service::terminal;

/// How long a process waits at its end for its last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

static QUEUE: Queue = Queue::new();

/// The thread that writes; an error if it could not start.
static WRITER: LazyLock<io::Result<()>> = LazyLock::new(|| QUEUE.start(report_lost));

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

/// Dropping this waits only a moment for the last lines to be written, because standard error may
/// be a pipe that nobody reads.
#[must_use = "the last log lines are lost unless this is dropped last"]
#[derive(Debug)]
pub struct Logging(());

impl Drop for Logging {
    fn drop(&mut self) {
        QUEUE.flush(LAST_LINES);
    }
}

/// Starts logging for the whole process, panics included. Call it once, first thing in `main`.
pub fn start(format: Format, level: &Level) -> Logging {
    // If this thread cannot start, the working threads cannot start either, and they report it.
    LazyLock::force(&WRITER);
    let builder = tracing_subscriber::fmt()
        .with_writer(|| Line)
        // Internal errors would go to standard error, and panic when it cannot be written.
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
            .with_ansi(terminal::is_colourful(&io::stderr()))
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
    Logging(())
}

/// How many log lines were lost since the start.
pub(crate) fn lost_lines() -> u64 {
    QUEUE.lost()
}

/// Writes text for a person after the log lines, and waits a moment until it is written.
pub(crate) fn note(text: &str) {
    if WRITER.is_ok() {
        QUEUE.push(text.as_bytes());
        QUEUE.flush(LAST_LINES);
    } else {
        _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Logged as an error, so that every `LOG_LEVEL` but `off` shows it.
fn report_lost(lost_lines: u64) {
    tracing::error!(lost_lines, "log lines could not be written");
}

/// Writes one log line to the queue; the formatter passes the line as a whole.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Formats fields for people: `name=value`, with quotes only where they help, and without
/// collections in which nothing happened.
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

/// The part after the last dot: `count` of `films.count`.
fn part_of_collection(field: &Field) -> Option<&str> {
    field.name().split_once('.').map(|(_collection, part)| part)
}
