//! The error message for a query string that the server cannot answer.

use std::fmt;

/// Longest piece of the client's text that a message repeats, in characters.
const QUOTED: usize = 60;

/// A query string that the server cannot answer, and why. Becomes a 400 that names the parameter.
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

    /// For a value made of brackets that cannot be converted to text.
    pub(super) fn no_text(parameter: &str) -> Self {
        Self::new(
            parameter,
            "holds a `toString`, so it has no text; give it one plain value",
        )
    }

    /// The faulty parameter, as the client wrote it; `query` if the whole string is at fault.
    pub fn parameter(&self) -> &str {
        &self.parameter
    }

    /// What is wrong with the parameter and how to correct it, as the second half of a sentence.
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

/// The client's text, cut if it is too long for the message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
