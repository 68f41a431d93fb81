//! Makes text from outside safe to show in a log and in a terminal. Pure.

/// Returns the text on one line. Blanks become one space. Characters that control a terminal,
/// change the direction of text or are invisible are escaped, as in `\u{1b}`. Keeps at most about
/// `most` characters; an ellipsis replaces the rest.
pub fn printable(text: &str, most: usize) -> String {
    let (mut shown, mut length) = (String::new(), 0);
    for word in text.split_whitespace() {
        let space = (!shown.is_empty()).then_some(' ');
        for character in space.into_iter().chain(word.chars()) {
            if length >= most {
                return shown + "…";
            }
            if matches!(character, '"' | '\'' | '\\') {
                shown.push(character);
                length += 1;
            } else {
                shown.extend(character.escape_debug());
                length += character.escape_debug().len();
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_on_its_line_and_shows_what_it_is() {
        for (text, shown) in [
            ("", ""),
            (" \r\n\t ", ""),
            (
                "Vercel  Security\r\nCheckpoint\n",
                "Vercel Security Checkpoint",
            ),
            ("となりのトトロ, 1988", "となりのトトロ, 1988"),
            (r#"{"path": "C:\temp"}"#, r#"{"path": "C:\temp"}"#),
            ("\u{1b}[31mred\u{7}\u{9b}K", r"\u{1b}[31mred\u{7}\u{9b}K"),
            (
                "a\u{202e}b\u{2066}c\u{200b}d\u{feff}",
                r"a\u{202e}b\u{2066}c\u{200b}d\u{feff}",
            ),
            ("a\0b\u{7f}\u{85}c\u{2028}d", r"a\0b\u{7f} c d"),
            (
                "\u{ad}\u{e0041}\u{fff9}\u{e000}",
                r"\u{ad}\u{e0041}\u{fff9}\u{e000}",
            ),
        ] {
            assert_eq!(printable(text, 80), shown, "{text:?}");
        }
    }

    #[test]
    fn its_length_is_bounded_however_it_is_escaped() {
        assert_eq!(printable("abcdef", 6), "abcdef");
        assert_eq!(printable("abcdefg", 6), "abcdef…");
        assert_eq!(printable("abc  defg", 6), "abc de…");
        let long = "\u{10fffe}".repeat(1_000_000);
        assert!(printable(&long, 80).len() < 80 + 10 + 3);
    }
}
