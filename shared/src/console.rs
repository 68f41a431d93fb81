//! What a command prints for a person, and the colours of a terminal.
//!
//! Printing never panics: the reader of a pipe may leave, a disk may be full, a terminal may close.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

/// The exit status of a program that `SIGPIPE` ends, as every Unix tool has it.
const BROKEN_PIPE: u8 = 128 + 13;

/// Prints a result on standard output and ends with `code`.
///
/// When the reader has left, the command ends as every Unix tool does; when the output cannot be
/// written for another reason, it says so and fails. What the command did stays done.
pub fn finish(result: impl Display, code: ExitCode) -> ExitCode {
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

/// Prints a line on standard error; a line that cannot be written is lost.
pub fn note(line: impl Display) {
    _ = writeln!(io::stderr(), "{line}");
}

/// Whether colours are welcome: on a terminal that knows them, unless `NO_COLOR` is set
/// (<https://no-color.org>).
pub fn is_colourful(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
