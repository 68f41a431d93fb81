//! Reads an upstream's body (sync rule 3): decides whether it is a collection, and which of its
//! records can be used.

use std::collections::HashSet;
use std::fmt;

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use super::{Record, id_of};

/// How deep lists and objects may nest in a record, itself included. A stored snapshot is read back
/// only to 128 levels, and adds a few levels around each record. The upstream's records have two.
const DEEPEST: usize = 64;

/// The byte order mark that some editors put before a text. It means nothing in UTF-8, and a parser
/// may ignore it (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A collection as the upstream listed it, in its order, each id once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The usable records; if several have the same id, the first.
    pub records: Vec<Record>,
    /// The ids that occurred more than once, each named once.
    pub duplicates: Vec<String>,
    /// The records that cannot be used, in their order.
    pub set_aside: Vec<SetAside>,
}

/// A record that cannot be used. The other records can still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Position in the array, from zero.
    pub index: usize,
    /// How many of the usable records come before it.
    pub place: usize,
    /// Its id, if it can be read.
    pub id: Option<String>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    /// Something else.
    #[error("is {0}, expected an object")]
    NotAnObject(&'static str),
    /// Nothing distinguishes it from other records.
    #[error("has no usable id: it must be a string or an integer")]
    NoId,
    /// It could be stored, but could not be read back.
    #[error("is nested deeper than {DEEPEST} levels")]
    TooDeep,
    /// Bytes that are not text, as in a file that was saved as Latin-1.
    #[error("holds bytes that are not UTF-8")]
    NotUtf8,
    /// JSON that is not text: half of a surrogate pair, which is half of an emoji.
    #[error(
        "holds text that cannot be stored, such as half of an emoji, at line {line} column {column} of it"
    )]
    NotText {
        /// Line within the record, from one.
        line: usize,
        /// Column in that line, from one.
        column: usize,
    },
}

/// Why a body is not a collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Empty, or only blanks.
    #[error("empty, expected an array of records")]
    Empty,
    /// Perhaps JSON, but not in UTF-8.
    #[error("encoded as {0}, expected UTF-8")]
    NotUtf8(&'static str),
    /// Not JSON at all: an HTML page, or a truncated body.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not an array.
    #[error("expected an array of records, got {0}")]
    NotAnArray(&'static str),
}

impl Listing {
    /// Reads a body that should be a JSON array of objects, each with an `id`. Sets unusable
    /// records aside and reads the others.
    ///
    /// # Errors
    /// A [`Rejection`], when the body as a whole is not a JSON array.
    pub fn read(body: &[u8]) -> Result<Self, Rejection> {
        if let Some(encoding) = foreign_encoding(body) {
            return Err(Rejection::NotUtf8(encoding));
        }
        let json = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let Some(first) = json.trim_ascii_start().first() else {
            return Err(Rejection::Empty);
        };
        // Checks only the syntax, not the content of texts or the depth of nesting.
        serde_json::from_slice::<IgnoredAny>(json)
            .map_err(|error| Rejection::NotJson(error.to_string()))?;
        if *first != b'[' {
            return Err(Rejection::NotAnArray(kind(*first)));
        }
        let mut listing = Self::default();
        let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
        for (index, item) in parts(json).into_iter().enumerate() {
            match read_record(item) {
                Ok(record) if seen.insert(record.id().to_owned()) => listing.records.push(record),
                Ok(record) => {
                    if repeated.insert(record.id().to_owned()) {
                        listing.duplicates.push(record.id().to_owned());
                    }
                }
                Err(flaw) => listing.set_aside.push(SetAside {
                    index,
                    place: listing.records.len(),
                    id: find_id(item),
                    flaw,
                }),
            }
        }
        Ok(listing)
    }
}

impl SetAside {
    /// Identifies the record and its flaw. The same key in the next answer is not news.
    pub fn key(&self) -> (Option<&str>, Option<usize>, &Flaw) {
        let index = self.id.is_none().then_some(self.index);
        (self.id.as_deref(), index, &self.flaw)
    }
}

/// Formats it as a sentence, without the id.
impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} {}", self.index, self.flaw)
    }
}

/// Detects an encoding from the time before JSON had to be UTF-8. In each of them JSON begins with
/// at least two ASCII characters.
fn foreign_encoding(body: &[u8]) -> Option<&'static str> {
    match body {
        [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// Reads one item of valid JSON.
fn read_record(item: &[u8]) -> Result<Record, Flaw> {
    match item.first() {
        Some(b'{') => {}
        first => {
            return Err(Flaw::NotAnObject(
                first.map_or("nothing", |first| kind(*first)),
            ));
        }
    }
    if depth(item) > DEEPEST {
        return Err(Flaw::TooDeep);
    }
    let item = std::str::from_utf8(item).map_err(|_| Flaw::NotUtf8)?;
    match serde_json::from_str(item) {
        Ok(Value::Object(fields)) => Record::try_from(fields).map_err(|_| Flaw::NoId),
        Ok(_) => Err(Flaw::NoId),
        Err(error) => Err(Flaw::NotText {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// The id of an object that cannot be read as a whole. As in any object, the last `id` counts.
fn find_id(item: &[u8]) -> Option<String> {
    if item.first() != Some(&b'{') {
        return None;
    }
    let id = parts(item).into_iter().rev().find_map(|member| {
        let mut names = Deserializer::from_slice(member).into_iter::<String>();
        let name = names.next()?.ok()?;
        let value = member[names.byte_offset()..].trim_ascii_start();
        (name == "id").then(|| value.strip_prefix(b":"))?
    })?;
    id_of(&serde_json::from_slice(id).ok()?)
}

/// The items of an array or the members of an object, as sent. Expects valid JSON.
fn parts(json: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0);
    for (at, byte) in structure(json) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth == 1 {
                    begin = at + 1;
                }
            }
            b',' if depth > 1 => {}
            _ if depth > 1 => depth -= 1,
            _ => {
                parts.push(json[begin..at].trim_ascii());
                begin = at + 1;
            }
        }
    }
    // Only `[]` and `{}` have an empty item.
    parts.retain(|part| !part.is_empty());
    parts
}

/// How deep lists and objects nest. Expects valid JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0, 0);
    for (_, byte) in structure(json) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        deepest = depth.max(deepest);
    }
    deepest
}

/// The brackets and commas outside of strings, with their positions.
fn structure(json: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let (mut in_text, mut is_escaped) = (false, false);
    let is_structure = move |(_, byte): &(usize, u8)| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b']' | b'{' | b'}' => return !in_text,
            _ => {}
        }
        false
    };
    json.iter().copied().enumerate().filter(is_structure)
}

/// The type of valid JSON that begins with this byte.
const fn kind(first: u8) -> &'static str {
    match first {
        b'n' => "null",
        b't' | b'f' => "a boolean",
        b'"' => "a string",
        b'[' => "an array",
        b'{' => "an object",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests;
