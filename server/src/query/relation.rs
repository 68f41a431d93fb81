//! `_embed` and `_expand`: records in place of the links that lead to them.
//!
//! Owns the names of relations and the replacement. The caller finds the record for a link.

use serde_json::{Map, Value};

/// Fields that hold links, one or a list of them. Other names are ignored.
pub(super) const RELATIONS: [&str; 7] = [
    "films",
    "people",
    "locations",
    "species",
    "vehicles",
    "residents",
    "pilot",
];

/// Finds the record that a link leads to; `None` for placeholders and for text that is no link.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Option<&'a Map<String, Value>>;

/// The value with its links replaced. A link without a record is removed from a list; alone, it
/// becomes null.
pub(super) fn embedded(value: &Value, resolve: Resolve<'_>) -> Value {
    let record = |link: &Value| resolve(link.as_str()?).cloned().map(Value::Object);
    match value {
        Value::Array(links) => Value::Array(links.iter().filter_map(record).collect()),
        Value::String(_) => record(value).unwrap_or(Value::Null),
        other => other.clone(),
    }
}
