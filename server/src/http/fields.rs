//! The items of a header field that is a list (RFC 9110, section 5.6.1).

use http::{HeaderMap, HeaderName};

/// The kind of text between quotes in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoted {
    /// An entity tag, in which a backslash is an ordinary character (RFC 9110, section 8.8.3).
    Tag,
    /// Text, in which a backslash escapes the next character (section 5.6.4).
    Text,
}

/// The comma-separated items of a header, over all its lines. A comma between quotes is part of its
/// item; an unclosed quote reaches to the end of its line.
pub(super) fn list<'a>(
    request: &'a HeaderMap,
    name: &HeaderName,
    quoted: Quoted,
) -> impl Iterator<Item = &'a str> {
    let lines = request
        .get_all(name)
        .into_iter()
        .filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    lines
        .flat_map(move |line| {
            let (mut in_quotes, mut after_backslash) = (false, false);
            line.split(move |character| {
                let is_literal = std::mem::take(&mut after_backslash);
                match character {
                    _ if is_literal => {}
                    '"' => in_quotes = !in_quotes,
                    '\\' => after_backslash = in_quotes && quoted == Quoted::Text,
                    ',' => return !in_quotes,
                    _ => {}
                }
                false
            })
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
}
