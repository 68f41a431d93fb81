//! The shape of a collection: which fields its records have, and of which JSON types. Finds how new
//! content drifts from it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::catalogue::snapshot::{Held, Source};

/// How one field differs from before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The field.
    pub field: String,
    /// The JSON types of its values before; `None` when it has appeared.
    pub before: Option<String>,
    /// The JSON types of its values now; `None` when it has vanished.
    pub after: Option<String>,
}

impl Drift {
    /// What [`change`](Self::change) can return.
    pub const CHANGES: [&str; 3] = ["appeared", "vanished", "type"];

    /// The word for log lines and metrics.
    pub const fn change(&self) -> &'static str {
        let [appeared, vanished, other_type] = Self::CHANGES;
        match (&self.before, &self.after) {
            (None, _) => appeared,
            (_, None) => vanished,
            _ => other_type,
        }
    }

    /// The drift in words. `field` is the name, made safe to show.
    pub(super) fn sentence(&self, field: &str) -> String {
        match (&self.before, &self.after) {
            (None, after) => format!("field {field} has appeared ({})", words(after.as_ref())),
            (before, None) => format!("field {field} has vanished ({})", words(before.as_ref())),
            (Some(before), Some(after)) => format!("field {field} was {before} and is now {after}"),
        }
    }
}

fn words(types: Option<&String>) -> &str {
    types.map_or("", String::as_str)
}

type Types = BTreeSet<&'static str>;

/// The fields that have appeared, vanished from all records, or have values of a type that they did
/// not have. Only records that the upstream lists count, and the built-in data has no shape.
pub fn drift(before: &Held, after: &Held) -> Vec<Drift> {
    if before.source == Source::BuiltIn || before.records.is_empty() {
        return Vec::new();
    }
    let (old, new) = (shape(before), shape(after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let drifted = names.into_iter().filter_map(|field| {
        let (before, after) = (old.get(field), new.get(field));
        let is_known = match (before, after) {
            (Some(before), Some(after)) => after.is_subset(before),
            _ => false,
        };
        let text = |types: &Types| types.iter().copied().collect::<Vec<_>>().join(", ");
        (!is_known).then(|| Drift {
            field: (*field).to_owned(),
            before: before.map(text),
            after: after.map(text),
        })
    });
    drifted.collect()
}

fn shape(held: &Held) -> BTreeMap<&str, Types> {
    let mut shape: BTreeMap<_, Types> = BTreeMap::new();
    let is_listed = |id: &str| !held.withdrawn.contains_key(id);
    for record in held.records.iter().filter(|one| is_listed(one.id())) {
        for (field, value) in record.fields() {
            shape.entry(field.as_str()).or_default().insert(kind(value));
        }
    }
    shape
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    fn held(records: Value) -> Held {
        let mut held = Held::empty(Source::Upstream, DateTime::UNIX_EPOCH);
        held.records = serde_json::from_value(records).unwrap();
        held
    }

    fn found(before: Value, after: Value) -> Vec<String> {
        drift(&held(before), &held(after))
            .iter()
            .map(|drift| format!("{} {}", drift.field, drift.change()))
            .collect()
    }

    #[test]
    fn a_field_that_appears_vanishes_or_changes_its_type_is_drift_once() {
        let old = json!([{"id": "1", "title": "a", "year": "1"}, {"id": "2", "title": "b"}]);
        let new = json!([{"id": "1", "title": 7, "score": 1}, {"id": "2", "title": "b"}]);
        let drift = ["score appeared", "title type", "year vanished"];
        assert_eq!(found(old.clone(), new.clone()), drift);
        assert_eq!(found(new.clone(), new), [""; 0]);
        // One record that still has the field is enough.
        let fewer = json!([{"id": "1", "title": "a"}, {"id": "2", "title": "b", "year": "2"}]);
        assert_eq!(found(old, fewer), [""; 0]);
    }

    #[test]
    fn withdrawn_records_and_built_in_data_have_no_shape() {
        let before = held(json!([{"id": "1", "old": 1}, {"id": "2"}]));
        let mut after = before.clone();
        after.withdrawn.insert("1".into(), DateTime::UNIX_EPOCH);
        assert_eq!(drift(&before, &after)[0].change(), "vanished");
        let mut before = before;
        before.source = Source::BuiltIn;
        assert_eq!(drift(&before, &after), []);
    }
}
