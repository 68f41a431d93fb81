//! Decides whether an upstream's body is a collection (sync rule 3) and reads it if so.

use std::collections::HashSet;

use serde_json::Value;

use super::Record;

/// How deep lists and objects may nest in a record, itself included. 128 levels are all that will
/// be read back of a stored snapshot, which wraps records into a few of its own; the upstream's
/// have two.
const DEEPEST: usize = 64;

/// A collection as the upstream listed it, in its order, each id once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The records; of several with one id, the first.
    pub records: Vec<Record>,
    /// The ids that occurred more than once, each named once.
    pub duplicates: Vec<String>,
}

/// Why a body is not a collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not JSON at all: an HTML page, a truncated body, or one nested deeper than 128 levels.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but no array.
    #[error("expected an array of records, got {0}")]
    NotAnArray(&'static str),
    /// An array with something in it that is no object.
    #[error("item {index} is {found}, expected an object")]
    NotAnObject {
        /// Position in the array, from zero.
        index: usize,
        /// What stands there.
        found: &'static str,
    },
    /// An object that could be stored, but not be read back.
    #[error("item {index} is nested deeper than {DEEPEST} levels")]
    TooDeep {
        /// Position in the array, from zero.
        index: usize,
    },
    /// An object that cannot be told from others.
    #[error("item {index} has no usable id: it must be a string or an integer")]
    NoId {
        /// Position in the array, from zero.
        index: usize,
    },
}

impl Answer {
    /// Reads a body that should be a JSON array of objects which each have an `id`.
    ///
    /// # Errors
    /// A [`Rejection`] that says what is wrong with the body, and where. The body is rejected
    /// whole: a collection with one unusable record is not half accepted.
    pub fn read(body: &[u8]) -> Result<Self, Rejection> {
        let items = match serde_json::from_slice(body) {
            Ok(Value::Array(items)) => items,
            Ok(other) => return Err(Rejection::NotAnArray(kind(&other))),
            Err(error) => return Err(Rejection::NotJson(error.to_string())),
        };
        let mut answer = Self::default();
        let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
        for (index, item) in items.into_iter().enumerate() {
            let Value::Object(fields) = item else {
                return Err(Rejection::NotAnObject {
                    index,
                    found: kind(&item),
                });
            };
            if !fields.values().all(|value| is_shallow(value, DEEPEST - 1)) {
                return Err(Rejection::TooDeep { index });
            }
            let record = Record::try_from(fields).map_err(|_| Rejection::NoId { index })?;
            if seen.insert(record.id().to_owned()) {
                answer.records.push(record);
            } else if repeated.insert(record.id().to_owned()) {
                answer.duplicates.push(record.id().to_owned());
            }
        }
        Ok(answer)
    }
}

/// Whether a value nests no deeper than `levels`.
fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| is_shallow(item, levels - 1)),
        Value::Object(fields) => {
            levels > 0 && fields.values().all(|field| is_shallow(field, levels - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_3_anything_but_an_array_of_objects_with_ids_is_rejected() {
        let rejection = |body: &str| Answer::read(body.as_bytes()).unwrap_err().to_string();
        assert!(rejection("<!DOCTYPE html>").starts_with("not JSON: "));
        assert!(rejection(r#"[{"id":"a"}, {"id"#).starts_with("not JSON: "));
        // Half a pair of surrogates is no text that could be sent on.
        assert!(rejection(r#"[{"id":"\ud800"}]"#).starts_with("not JSON: "));
        assert!(rejection(&"[".repeat(100_000)).starts_with("not JSON: recursion limit"));
        assert_eq!(
            rejection("{}"),
            "expected an array of records, got an object"
        );
        assert_eq!(
            rejection(r#"[{"id":"a"},7]"#),
            "item 1 is a number, expected an object"
        );
        for id in ["null", "1.5", "\"\"", "[]", "true"] {
            assert_eq!(
                rejection(&format!(r#"[{{"id":{id}}}]"#)),
                "item 0 has no usable id: it must be a string or an integer"
            );
        }
    }

    #[test]
    fn rule_3_what_could_not_be_read_back_is_rejected() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            Answer::read(format!(r#"[{{"id":"a","x":{open}{close}}}]"#).as_bytes())
        };
        assert!(nested(DEEPEST).is_ok());
        assert_eq!(
            nested(DEEPEST + 1).unwrap_err().to_string(),
            "item 0 is nested deeper than 64 levels"
        );
    }

    #[test]
    fn rule_3_an_integer_id_counts_by_its_text() {
        let answer = Answer::read(br#"[{"id":7},{"id":"7"}]"#).unwrap();
        assert_eq!(answer.records.len(), 1);
        assert_eq!(answer.duplicates, ["7"]);
    }

    #[test]
    fn rule_8_of_duplicate_ids_the_first_wins() {
        let body = br#"[{"id":"a","n":1},{"id":"a","n":2},{"id":"b"},{"id":"a","n":3}]"#;
        let answer = Answer::read(body).unwrap();
        assert_eq!(answer.records[0].fields()["n"], 1);
        assert_eq!(answer.records.len(), 2);
        assert_eq!(answer.duplicates, ["a"]);
    }

    #[test]
    fn rule_8_a_body_full_of_duplicates_costs_no_more_than_another() {
        // Compared each with each, they take longer than all other tests together.
        let ids = (0..200_000).map(|n| format!(r#"{{"id":{}}}"#, n % 100_000));
        let body = format!("[{}]", ids.collect::<Vec<_>>().join(","));
        let answer = Answer::read(body.as_bytes()).unwrap();
        assert_eq!(
            (answer.records.len(), answer.duplicates.len()),
            (100_000, 100_000)
        );
    }

    #[test]
    fn a_record_leaves_as_it_came() {
        let body = r#"[{"zeta":1.0,"id":"a","big":12345678901234567890123,"x":{"b":1,"a":[]}}]"#;
        let answer = Answer::read(body.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&answer.records).unwrap(), body);
    }
}
