//! What a command prints for a person, and the colours of a terminal.
//!
//! Printing never panics: a pipe may close, a disk may be full, a terminal may close.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use crate::service::telemetry;

/// The exit status of a program that `SIGPIPE` ends, as for every Unix tool.
const BROKEN_PIPE: u8 = 128 + 13;

/// The exit status for invalid arguments, as in clap.
const BAD_ARGUMENTS: u8 = 2;

/// A width that every terminal has.
pub(crate) const WIDTH: usize = 80;

/// Prints a result on standard output and ends with `code`.
///
/// When the reader of a pipe has closed it, the command ends as every Unix tool does. On any other
/// write error it says so and fails. What the command did stays done.
pub fn finish(result: impl Display, code: ExitCode) -> ExitCode {
    let result = fitting(&io::stdout(), &result.to_string());
    print(&result, code)
}

fn print(result: &str, code: ExitCode) -> ExitCode {
    let mut output = io::stdout();
    match writeln!(output, "{result}").and_then(|()| output.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(BROKEN_PIPE),
        Err(error) => {
            note(format_args!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line on standard error, after the log lines. The line is lost if it cannot be written
/// within a moment, for example because nobody reads the pipe.
pub fn note(line: impl Display) {
    let line = fitting(&io::stderr(), &line.to_string());
    telemetry::note(&format!("{line}\n"));
}

/// Prints the argument parser's output: the help, the version, or a mistake.
pub fn explain(message: &clap::Error) -> ExitCode {
    let text = message.render();
    let styled = |is_colourful| {
        let styled = if is_colourful {
            text.ansi().to_string()
        } else {
            text.to_string()
        };
        styled.trim_end().to_owned()
    };
    if message.use_stderr() {
        telemetry::note(&format!("{}\n", styled(is_colourful(&io::stderr()))));
        ExitCode::from(BAD_ARGUMENTS)
    } else {
        print(&styled(is_colourful(&io::stdout())), ExitCode::SUCCESS)
    }
}

/// Returns the text unchanged, or for a terminal, broken into lines that fit.
fn fitting(stream: &impl IsTerminal, text: &str) -> String {
    if !stream.is_terminal() {
        return text.to_owned();
    }
    let lines = text.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        wrapped(line, indent + 4)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Breaks a line that is too wide between words; indents all but the first part by `indent`.
pub(crate) fn wrapped(line: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in line.split_inclusive(' ') {
        let this = word.trim_end().chars().map(width_of).sum::<usize>();
        if width + this > WIDTH && !text.trim_start().is_empty() {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            width = indent;
        }
        text.push_str(word);
        width += this + word.len() - word.trim_end().len();
    }
    text
}

/// How many columns a character takes; never less than a terminal uses for it.
fn width_of(character: char) -> usize {
    1 + usize::from(character >= '\u{1100}')
}

/// Whether to use colours: on a terminal that supports them, unless `NO_COLOR` is set
/// (<https://no-color.org>).
pub fn is_colourful(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_keep_their_columns() {
        let words = "word ".repeat(20);
        let row = format!("films         22 records   failed: {words}");
        let lines = wrapped(row.trim_end(), 4);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("films         22 records   failed: word"));
        assert!(lines[0].len() <= WIDTH && lines[0].len() > WIDTH - 5);
        assert!(lines[1].starts_with("    word word"), "{}", lines[1]);
        // Text that a person copies from the terminal must stay complete.
        let url = format!("file:{}", "x".repeat(2 * WIDTH));
        assert_eq!(
            wrapped(&format!("into {url} now"), 2),
            format!("into\n  {url}\n  now")
        );
        assert_eq!(wrapped("  short", 4), "  short");
        assert_eq!(wrapped(&"千".repeat(100), 4), "千".repeat(100));
        assert_eq!(wrapped(&"千 ".repeat(30), 0).lines().count(), 2);
    }
}
