//! `field=value` and its suffixes `_ne`, `_gte`, `_lte`, `_like`; and `q`.
//!
//! Decides which records match a condition. It reads values as the upstream does (`95` is a
//! number, `095` is text, `true` is a boolean), with one difference: a record's text also equals
//! what the client typed, so `release_date=1986` finds `"1986"`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{
    error::{BadQuery, shorten},
    js::{self, Js, Primitive},
    path::Path,
    pattern::Pattern,
    tree::{NoText, Param, Tree},
};

/// What one parameter demands of a record. If it has several values, one of them must match.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    path: Path,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equals(Vec<Param>),
    Differs(Vec<Param>),
    AtLeast(Vec<Primitive<'static>>),
    AtMost(Vec<Primitive<'static>>),
    Like(Vec<Pattern>),
}

impl Condition {
    /// A suffix works anywhere in the name, but only a suffix at the end is removed from it.
    /// `patterns` is the number of patterns in the whole query.
    pub(super) fn parse(name: &str, value: Param, patterns: usize) -> Result<Self, BadQuery> {
        let values = value.into_items();
        let no_text = |NoText| BadQuery::no_text(name);
        let test = if name.contains("_gte") || name.contains("_lte") {
            let bounds: Result<Vec<_>, _> = values.iter().map(bound).collect();
            let bounds = bounds.map_err(no_text)?;
            if name.contains("_gte") {
                Test::AtLeast(bounds)
            } else {
                Test::AtMost(bounds)
            }
        } else if name.contains("_ne") {
            Test::Differs(values)
        } else if name.contains("_like") {
            let patterns: Result<Vec<_>, _> = values
                .iter()
                .map(|value| pattern(name, value, patterns))
                .collect();
            Test::Like(patterns?)
        } else {
            Test::Equals(values)
        };
        let field = ["_lte", "_gte", "_ne", "_like"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        Ok(Self {
            path: Path::from(field),
            test,
        })
    }

    /// Whether the condition applies. Equality with a field that no record has is ignored.
    pub(super) fn counts(&self, records: &[&Map<String, Value>]) -> bool {
        !matches!(self.test, Test::Equals(_))
            || records.iter().any(|record| self.path.exists(record))
    }

    /// Whether the record matches.
    pub(super) fn admits(&self, record: &Map<String, Value>) -> bool {
        let found = self.path.get(record);
        match &self.test {
            Test::Equals(values) => values.iter().any(|value| equals(value, &found)),
            Test::Differs(values) => values.iter().any(|value| !is_same(value, &found)),
            Test::AtLeast(bounds) => {
                let found = found.into_primitive();
                bounds
                    .iter()
                    .any(|bound| found.compare(bound).is_some_and(Ordering::is_ge))
            }
            Test::AtMost(bounds) => {
                let found = found.into_primitive();
                bounds
                    .iter()
                    .any(|bound| found.compare(bound).is_some_and(Ordering::is_le))
            }
            Test::Like(patterns) => {
                let text = found.into_text();
                patterns.iter().any(|pattern| pattern.matches(&text))
            }
        }
    }
}

/// Converts a value as the upstream does: to a number or a boolean where it clearly is one.
fn native(text: &str) -> Primitive<'_> {
    let is_text = text.is_empty()
        || text.trim_matches(js::is_space) != text
        || (text.len() > 1 && text.starts_with('0'));
    match text {
        _ if is_text => Primitive::Text(text.into()),
        "true" => Primitive::Bool(true),
        "false" => Primitive::Bool(false),
        _ => match js::number(text) {
            number if number.is_nan() => Primitive::Text(text.into()),
            number => Primitive::Number(number),
        },
    }
}

fn bound(value: &Param) -> Result<Primitive<'static>, NoText> {
    let text = value.text()?;
    Ok(match (value, native(&text)) {
        (Param::Text(_), Primitive::Number(number)) => Primitive::Number(number),
        (Param::Text(_), Primitive::Bool(yes)) => Primitive::Bool(yes),
        _ => Primitive::Text(text.into()),
    })
}

fn pattern(name: &str, value: &Param, patterns: usize) -> Result<Pattern, BadQuery> {
    let bad = |problem: String| BadQuery::new(name, problem);
    let source = match value.text() {
        // Write numbers as JavaScript does: `1e3` searches for 1000.
        Ok(text) if matches!(value, Param::Text(_)) => match native(&text) {
            Primitive::Number(number) => js::number_text(number),
            _ => text,
        },
        Ok(text) => text,
        Err(NoText) => return Err(BadQuery::no_text(name)),
    };
    Pattern::parse(&source, patterns)
        .map_err(|problem| bad(format!("{problem}; it is `{}`", shorten(&source))))
}

/// Whether both are the same text, number or boolean, or the record has the text that was typed.
fn is_same(value: &Param, found: &Js<'_>) -> bool {
    let Param::Text(typed) = value else {
        return false;
    };
    match (found, native(typed)) {
        (Js::Text(found), _) => found == typed,
        (Js::Number(found), Primitive::Number(wanted)) => {
            found.partial_cmp(&wanted) == Some(Ordering::Equal)
        }
        (Js::Bool(found), Primitive::Bool(wanted)) => *found == wanted,
        _ => false,
    }
}

/// Like [`is_same`], but a list or object in the record may hold more than the client asks for.
fn equals(value: &Param, found: &Js<'_>) -> bool {
    match (value, found) {
        (Param::Text(_), _) => is_same(value, found),
        (Param::List(_) | Param::Tree(_), _) => contains(value, found),
    }
}

fn contains(value: &Param, found: &Js<'_>) -> bool {
    match (value, found) {
        (Param::Text(wanted), Js::Text(found)) => wanted == found,
        (Param::List(wanted), Js::List(found)) => {
            // Each wanted item takes the first matching item of the record that is still free.
            let mut free: Vec<bool> = vec![true; found.len()];
            wanted.items.iter().flatten().all(|item| {
                let claimed =
                    (0..found.len()).find(|&at| free[at] && contains(item, &Js::from(&found[at])));
                claimed.is_some_and(|at| std::mem::replace(&mut free[at], false))
            })
        }
        (Param::Tree(wanted), Js::Object(found)) => all_in(wanted, found),
        _ => false,
    }
}

fn all_in(wanted: &Tree, found: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| {
        found
            .get(name)
            .is_some_and(|found| contains(value, &Js::from(found)))
    })
}

/// `q`: whether a text, number or `true` anywhere inside the record contains `needle`, which is
/// in lower case. Names of fields are not searched.
pub(super) fn mentions(record: &Map<String, Value>, needle: &str) -> bool {
    record.values().any(|value| holds(value, needle))
}

fn holds(value: &Value, needle: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, needle)),
        Value::Object(fields) => mentions(fields, needle),
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) if number.as_f64() == Some(0.0) => false,
        other => Js::from(other).into_text().to_lowercase().contains(needle),
    }
}
