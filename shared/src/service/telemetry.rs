//! Log lines: one event a line on standard error, as JSON for machines or as text for people.
//!
//! Each line of level info or above is one of [`events`]. Its message is a sentence with the facts;
//! the same facts are in fields, with the unit in the name. A line that cannot be written is lost
//! and counted; no other line is ever lost.

pub mod events;
mod lasting;
mod level;
mod queue;

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

pub use lasting::{Lasting, Turn, clock};
pub use level::Level;
use queue::Queue;

use crate::log;
use crate::service::config::Variable;
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
    /// The variable that chooses the format.
    pub const VARIABLE: Variable = Variable::new(
        "LOG_FORMAT",
        "json",
        "How log lines look: json, or text for people",
    );
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
    let is_colourful = terminal::is_colourful(&io::stderr());
    let subscriber = subscriber(format, level, || Line, is_colourful);
    tracing::subscriber::set_global_default(subscriber).expect("logging starts once");
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("not text");
        log!(
            events::TASK_PANICKED,
            location,
            reason,
            "a task panicked at {location}: {reason}"
        );
    }));
    Logging(())
}

/// How many log lines were lost since the start.
pub(crate) fn lost_lines() -> u64 {
    QUEUE.lost()
}

fn subscriber<W>(
    format: Format,
    level: &Level,
    writer: W,
    is_colourful: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        // Internal errors would go to standard error, and panic when it cannot be written.
        .log_internal_errors(false)
        .with_env_filter(level.filter());
    match format {
        Format::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .finish(),
        ),
        Format::Text => Box::new(
            builder
                .with_target(false)
                .fmt_fields(Plain)
                .with_timer(ChronoUtc::new("%H:%M:%S".into()))
                .with_ansi(is_colourful)
                .finish(),
        ),
    }
}

/// The lines that `action` logs, without their times, for tests that pin them.
pub fn captured(format: Format, action: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let level = Level::default();
    let subscriber = subscriber(format, &level, Captured(lines.clone()), false);
    tracing::subscriber::with_default(subscriber, action);
    let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    let lines = String::from_utf8(lines).expect("log lines are text");
    let without_time = |line: &str| match format {
        Format::Text => line["hh:mm:ss ".len()..].to_owned(),
        Format::Json => {
            let (_time, rest) = line.split_once(',').unwrap_or_default();
            format!("{{{rest}")
        }
    };
    let lines: Vec<_> = lines.lines().map(without_time).collect();
    lines.join("\n")
}

#[derive(Clone)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'writer> MakeWriter<'writer> for Captured {
    type Writer = Self;

    fn make_writer(&'writer self) -> Self {
        self.clone()
    }
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
    log!(
        events::LINES_LOST,
        lost_lines,
        "{lost_lines} log lines could not be written"
    );
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

/// Formats a line for people: of an event only the message, which says everything; of other lines
/// the fields too.
struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = PlainVisitor::default();
        fields.record(&mut visitor);
        writer.write_str(&visitor.message)?;
        if visitor.is_event {
            return Ok(());
        }
        writer.write_str(&visitor.fields)
    }
}

#[derive(Default)]
struct PlainVisitor {
    message: String,
    fields: String,
    is_event: bool,
}

impl Visit for PlainVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = on_one_line(&format!("{value:?}")),
            "event" => self.is_event = true,
            // Writing to a `String` cannot fail.
            name => _ = write!(self.fields, " {name}={value:?}"),
        }
    }
}

/// Escapes control characters, which would break the line or command the terminal.
fn on_one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() {
            line.extend(character.escape_debug());
        } else {
            line.push(character);
        }
    }
    line
}
