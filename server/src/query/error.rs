//! What is said to a caller whose query string cannot be answered.

use std::fmt;

/// Longest piece of the caller's own text that is said back, in characters.
const QUOTED: usize = 60;

/// A query string that has no answer, and why. Becomes a 400 that names the parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuery {
    parameter: String,
    problem: String,
}

impl BadQuery {
    pub(super) fn new(parameter: &str, problem: impl Into<String>) -> Self {
        Self {
            parameter: shorten(parameter),
            problem: problem.into(),
        }
    }

    /// For a value made of brackets whose text cannot be had.
    pub(super) fn no_text(parameter: &str) -> Self {
        Self::new(
            parameter,
            "holds a `toString`, so it has no text; give it one plain value",
        )
    }

    /// The parameter at fault, as the caller wrote it; `query` where it is the whole string.
    pub fn parameter(&self) -> &str {
        &self.parameter
    }

    /// What is wrong with it and what would be right, as the second half of a sentence.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for BadQuery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` {}", self.parameter, self.problem)
    }
}

impl std::error::Error for BadQuery {}

/// The caller's text, cut where it would flood the message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
