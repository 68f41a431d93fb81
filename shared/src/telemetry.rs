//! Log lines: one event a line on standard error, as JSON for machines or as text for people.
//!
//! Messages are fixed sentences; facts stand in fields with their units in the name.

use std::fmt::Debug;
use std::io::IsTerminal;

use serde::Deserialize;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::ChronoUtc;

/// Libraries whose chatter is of no use to operators; `LOG_LEVEL` can name them to hear them.
const QUIET: &str = "tokio_cron_scheduler=warn";

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

/// A filter for log lines in the syntax of [`EnvFilter`]: `info`, `debug`, `info,poller=debug`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(String);

impl Default for Level {
    fn default() -> Self {
        Self("info".into())
    }
}

impl TryFrom<String> for Level {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(
                "expected error, warn, info, debug or trace, or a list such as \
                           `info,poller=debug`"
                    .into(),
            ),
        }
    }
}

/// Starts logging for the whole process, panics included. Called once, first thing in `main`.
pub fn start(format: Format, level: &Level) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(format!("{QUIET},{}", level.0)));
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
