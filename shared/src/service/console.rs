//! What a command prints for a person.
//!
//! Printing never panics: a pipe may close, a disk may be full, a terminal may close.

use std::fmt::Display;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};
use std::process::ExitCode;

use crate::service::telemetry;
use crate::service::terminal::{is_colourful, wrapped};

/// The exit status of a program that `SIGPIPE` ends, as for every Unix tool.
const BROKEN_PIPE: u8 = 128 + 13;

/// The exit status for invalid arguments, as in clap.
const BAD_ARGUMENTS: u8 = 2;

/// How many bytes of an answer to read.
const LONGEST_ANSWER: u64 = 100;

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

/// Whether there is a person to ask: standard input and standard error are terminals.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on standard error. Whether the answer is `y` or `yes`; everything else, also the
/// end of the input, is a no.
pub fn ask(question: impl Display) -> bool {
    telemetry::note(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin()
        .lock()
        .take(LONGEST_ANSWER)
        .read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    read.is_ok() && matches!(answer.as_str(), "y" | "yes")
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
