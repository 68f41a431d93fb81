//! What a terminal can show: lines of a certain width, and colours. Prints nothing.

use std::io::IsTerminal;

/// A width that every terminal has.
pub(crate) const WIDTH: usize = 80;

/// Whether to use colours: on a terminal that supports them, unless `NO_COLOR` is set
/// (<https://no-color.org>).
pub fn is_colourful(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb
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
