//! What a path names in the catalogue. Pure.

use serde_json::Value;

use crate::sample::COLLECTIONS;

/// What a path names.
pub(super) enum Target<'a> {
    Everything,
    Collection(&'static str),
    Record(&'static str, &'a str),
    Nothing,
}

impl<'a> Target<'a> {
    pub(super) fn of(path: &'a str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let (first, rest) = path
            .split_once('/')
            .map_or((path, None), |(a, b)| (a, Some(b)));
        let collection = COLLECTIONS
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(first));
        match (collection, rest) {
            (Some(collection), None) => Self::Collection(collection),
            (Some(collection), Some(id)) => Self::Record(collection, id),
            (None, None) if first == "db" => Self::Everything,
            (None, _) => Self::Nothing,
        }
    }

    pub(super) fn collection(&self) -> Option<&'static str> {
        match self {
            Self::Collection(collection) | Self::Record(collection, _) => Some(collection),
            Self::Everything | Self::Nothing => None,
        }
    }

    /// The part of the catalogue that the path names.
    pub(super) fn find(&self, catalogue: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Everything => Some(catalogue),
            Self::Collection(collection) => catalogue.get(collection),
            Self::Record(collection, id) => catalogue[collection]
                .as_array()?
                .iter()
                .find(|record| has_id(record, id)),
            Self::Nothing => None,
        }
    }
}

/// Whether a record has this id; the record's id is a string or an integer.
pub(super) fn has_id(record: &Value, id: &str) -> bool {
    match &record["id"] {
        Value::String(text) => text == id,
        Value::Number(number) => number.to_string() == id,
        _ => false,
    }
}
