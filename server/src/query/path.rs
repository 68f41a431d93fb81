//! The path of a parameter into a record: `title`, `people.0`, `length[0].unit`.
//!
//! Owns the path syntax and the walk through a record. Compares nothing.

use serde_json::{Map, Value};

use super::{
    js::Js,
    tree::{NoText, Param},
};

/// A parsed path.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// The text as the client wrote it. A field with exactly this name comes before `steps`.
    whole: Option<String>,
    /// The names on the way into the record; none if `whole` is the only name.
    steps: Vec<String>,
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        let steps = if is_deep(text) {
            steps(text)
        } else {
            Vec::new()
        };
        Self {
            whole: Some(text.to_owned()),
            steps,
        }
    }
}

impl Path {
    /// The path in a parameter's value. If the value is a list, its items are the steps.
    pub(super) fn from_param(param: &Param) -> Result<Self, NoText> {
        match param {
            Param::List(list) => Ok(Self {
                whole: None,
                steps: list
                    .items
                    .iter()
                    .flatten()
                    .map(Param::text)
                    .collect::<Result<_, _>>()?,
            }),
            other => Ok(Self::from(other.text()?.as_str())),
        }
    }

    /// The value at the path, `Undefined` where the record has none.
    pub(super) fn get<'a>(&self, record: &'a Map<String, Value>) -> Js<'a> {
        if let Some(value) = self.whole.as_ref().and_then(|whole| record.get(whole)) {
            return value.into();
        }
        if self.steps.is_empty() {
            return Js::Undefined;
        }
        self.steps
            .iter()
            .fold(Js::Object(record), |value, step| value.property(step))
    }

    /// Whether the record has the field at all.
    pub(super) fn exists(&self, record: &Map<String, Value>) -> bool {
        !matches!(self.get(record), Js::Undefined)
    }
}

/// Whether a text is more than one name: it has a dot, or brackets with a valid step inside.
fn is_deep(text: &str) -> bool {
    text.contains('.')
        || text.match_indices('[').any(|(open, _)| {
            let inside = &text[open + 1..];
            inside
                .find(['[', ']'])
                .is_some_and(|end| inside.as_bytes()[end] == b']')
                || quoted(inside).is_some_and(|(_, length)| inside[length..].starts_with(']'))
        })
}

/// The names of a deep path in order. Text that fits no form is skipped.
fn steps(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if text.starts_with('.') {
        found.push(String::new());
    }
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if !matches!(first, '.' | '[' | ']') {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            at += end;
        } else if let Some((name, length)) = bracketed(rest) {
            found.push(name);
            at += length;
        } else {
            if is_gap(rest) {
                found.push(String::new());
            }
            at += 1;
        }
    }
    found
}

/// `[12]`, `[-1.5]`, `["a name"]`: the name inside, and the length with the brackets.
fn bracketed(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('[')?;
    if let Some((name, length)) = quoted(inside) {
        return inside[length..]
            .starts_with(']')
            .then(|| (name, length + 2));
    }
    let (name, _) = inside.split_once(']')?;
    let (whole, fraction) = name.split_once('.').unwrap_or((name, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(fraction))
        .then(|| (name.to_owned(), name.len() + 2))
}

/// A quoted name, its escapes resolved, and the length with the quotes.
fn quoted(text: &str) -> Option<(String, usize)> {
    let quote = text
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''))?;
    let mut name = String::new();
    let mut rest = text.char_indices().skip(1);
    while let Some((at, character)) = rest.next() {
        match character {
            '\\' => {
                let (_, escaped) = rest.next()?;
                name.push(escaped);
            }
            end if end == quote => return Some((name, at + 1)),
            other => name.push(other),
        }
    }
    None
}

/// Whether there is an empty name here, as between the dots of `a..b`.
fn is_gap(text: &str) -> bool {
    let after = |text: &str| text.is_empty() || text.starts_with('.') || text.starts_with("[]");
    [".", "[]"]
        .iter()
        .any(|opening| text.strip_prefix(opening).is_some_and(after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        for (text, expected) in [
            ("a.b", vec!["a", "b"]),
            ("a[0].b", vec!["a", "0", "b"]),
            ("a['x.y'][\"z\"]", vec!["a", "x.y", "z"]),
            (".a", vec!["", "a"]),
            ("a..b", vec!["a", "", "b"]),
            ("a.", vec!["a", ""]),
            ("a[b]", vec!["a", "b"]),
        ] {
            assert_eq!(steps(text), expected, "{text}");
        }
        assert!(!is_deep("a[b") && !is_deep("a]") && is_deep("a[]"));
    }

    #[test]
    fn values_are_found_inside_lists_objects_and_texts() {
        let record = json!({"a": {"b": [10, 20]}, "a.b": "flat", "name": "né"});
        let record = record.as_object().unwrap();
        let at = |path: &str| Path::from(path).get(record).into_text().into_owned();
        assert_eq!(at("a.b"), "flat");
        assert_eq!(at("a.b.1"), "20");
        assert_eq!(at("a.b.01"), "undefined");
        assert_eq!(at("a.b.length"), "2");
        assert_eq!(at("name.length"), "2");
        assert_eq!(at("name.1"), "é");
        assert_eq!(at("constructor"), "undefined");
        assert_eq!(at("__proto__.x"), "undefined");
    }
}
