//! Which log lines to write.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::service::config::Variable;

/// The levels of detail, least first.
const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The sources of lines: this project's crates and programs, then the libraries that log.
const TARGETS: [&str; 9] = [
    "poller",
    "server",
    "shared",
    "ghibli_poller",
    "ghibli_server",
    "h2",
    "hyper_util",
    "tokio_cron_scheduler",
    "warp",
];

/// The defaults where `LOG_LEVEL` does not say otherwise: the scheduler's lines do not help
/// operators.
const UNSAID: &str = "info,tokio_cron_scheduler=warn";

/// A filter for log lines: a level such as `info`, or a list such as `info,poller=debug`. A list
/// without a level of its own means `info` and the list.
///
/// [`EnvFilter`] takes any other word for the name of a source, and then logs nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(String);

impl Level {
    /// The variable that chooses the lines.
    pub const VARIABLE: Variable = Variable::new(
        "LOG_LEVEL",
        "info",
        "Which log lines there are: off, error, warn, info, debug or trace, or a list such as \
         info,poller=debug",
    );

    /// The filter to log with.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(match self.0.as_str() {
            "off" => "off".to_owned(),
            // Of two directives for the same source, the later one counts.
            directives => format!("{UNSAID},{directives}"),
        })
    }
}

impl Default for Level {
    fn default() -> Self {
        Self("info".into())
    }
}

impl TryFrom<String> for Level {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts = text.split(',').map(|part| directive(part.trim()));
        let directives: Option<Vec<_>> = parts.collect();
        directives
            .map(|directives| Self(directives.join(",")))
            .ok_or_else(|| {
                format!(
                    "expected one of {}, or a list such as `info,poller=debug` that names any of {}",
                    WORDS.join(", "),
                    TARGETS.join(", ")
                )
            })
    }
}

/// A level, or a source with a level: `poller=debug`, `poller::sync=debug`.
fn directive(text: &str) -> Option<String> {
    let Some((target, word)) = text.split_once('=') else {
        return level(text);
    };
    let target = target.trim();
    let root = target.split("::").next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let is_known = TARGETS.contains(&root) && target.chars().all(is_plain);
    is_known.then_some(format!("{target}={}", level(word.trim())?))
}

fn level(text: &str) -> Option<String> {
    let word = text.to_ascii_lowercase();
    WORDS.contains(&word.as_str()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        Level::try_from(text.to_owned()).map(|level| level.filter().to_string())
    }

    #[test]
    fn words_and_lists_mean_what_they_say() {
        for (text, expected) in [
            ("off", "off"),
            ("warn", "tokio_cron_scheduler=warn,warn"),
            ("INFO", "tokio_cron_scheduler=warn,info"),
            (
                "info, poller = debug",
                "poller=debug,tokio_cron_scheduler=warn,info",
            ),
            (
                "server::follow=debug",
                "server::follow=debug,tokio_cron_scheduler=warn,info",
            ),
            ("warn,h2=off", "tokio_cron_scheduler=warn,h2=off,warn"),
            (
                "trace,tokio_cron_scheduler=trace",
                "tokio_cron_scheduler=trace,trace",
            ),
        ] {
            let sorted = |text: &str| {
                let mut parts: Vec<_> = text.split(',').map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert_eq!(sorted(&read(text).unwrap()), sorted(expected), "{text}");
        }
    }

    #[test]
    fn words_that_would_silence_everything_are_refused_with_those_that_are_known() {
        for text in [
            "warning",
            "verbose",
            "3",
            "info debug",
            "info;poller=debug",
            "info,",
            "poller",
            "poller=",
            "poller=loud",
            "poler=debug",
            "ghibli-poller=debug",
            "reqwest=debug",
            "[span]=debug",
            "poller[span]=debug",
            ",",
        ] {
            let refusal = read(text).expect_err(text);
            assert!(
                refusal.contains("off, error, warn, info, debug, trace"),
                "{refusal}"
            );
            assert!(refusal.contains("ghibli_poller"), "{refusal}");
        }
    }

    /// A new library that logs needs its name in the list above.
    #[test]
    fn every_library_that_logs_has_a_name_here() {
        let lock = include_str!("../../../../Cargo.lock");
        let not_in_the_programs = ["thirtyfour", "tracing-serde", "tracing-subscriber"];
        for package in lock.split("[[package]]").skip(1) {
            let field = |name| package.lines().find_map(|line| line.strip_prefix(name));
            let name = field("name = ").unwrap().trim_matches('"');
            if package.contains("\n \"tracing\",") && !not_in_the_programs.contains(&name) {
                assert!(TARGETS.contains(&name.replace('-', "_").as_str()), "{name}");
            }
        }
    }
}
