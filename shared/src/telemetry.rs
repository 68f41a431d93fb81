//! Log lines: one event a line on standard error, as JSON for machines or as text for people.
//!
//! Messages are fixed sentences; facts stand in fields with their units in the name.

mod level;

use std::fmt::Debug;
use std::io::IsTerminal;

use serde::Deserialize;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::ChronoUtc;

pub use level::Level;

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

/// Starts logging for the whole process, panics included. Called once, first thing in `main`.
pub fn start(format: Format, level: &Level) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(level.filter());
    match format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .init(),
        Format::Text => builder
            .with_target(false)
            .fmt_fields(format::debug_fn(without_zeros).delimited(" "))
            .with_timer(ChronoUtc::new("%H:%M:%S".into()))
            .with_ansi(std::io::stderr().is_terminal())
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
}

/// Writes a field for people, who need not be told of each thing that did not happen.
fn without_zeros(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if name.contains('.') && format!("{value:?}") == "0" => Ok(()),
        name => write!(writer, "{name}={value:?}"),
    }
}
