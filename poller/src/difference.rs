//! What differs between two snapshots: for the history, and for the questions before an order. Pure.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;
use shared::catalogue::snapshot::{Held, Snapshot};
use shared::catalogue::{PerCollection, Record};

use crate::printable::printable;

/// How many titles a text names, per kind of change.
const MOST_NAMED: usize = 10;

/// How many characters of a title a text shows.
const LONGEST: usize = 80;

/// What differs in one collection, by title, in the order in which the records are served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// New records.
    pub appended: Vec<String>,
    /// Records with other content.
    pub updated: Vec<String>,
    /// Records that are now marked as withdrawn by the upstream, and kept.
    pub withdrawn: Vec<String>,
    /// Records that are no longer marked.
    pub returned: Vec<String>,
    /// Records that are gone.
    pub removed: Vec<String>,
    /// Whether the records that stay have another order.
    pub reordered: bool,
}

/// Compares two snapshots, collection by collection.
pub fn between(before: &Snapshot, after: &Snapshot) -> PerCollection<Difference> {
    PerCollection::from_fn(|one| {
        Difference::between(&before.collections[one], &after.collections[one])
    })
}

/// Whether two snapshots have the same records.
pub fn is_none(differences: &PerCollection<Difference>) -> bool {
    differences.iter().all(|(_, one)| one.is_none())
}

/// The differences as text: one line for each collection that has some, indented; or one that says
/// that there are none.
pub fn in_words(differences: &PerCollection<Difference>) -> String {
    let some = differences.iter().filter(|(_, one)| !one.is_none());
    let lines: Vec<_> = some
        .map(|(collection, one)| format!("  {collection}: {one}"))
        .collect();
    if lines.is_empty() {
        return "  no record differs".to_owned();
    }
    lines.join("\n")
}

impl Difference {
    /// Compares one collection.
    pub fn between(before: &Held, after: &Held) -> Self {
        let known: HashMap<&str, &Record> = by_id(before);
        let present: HashMap<&str, &Record> = by_id(after);
        let mut difference = Self::default();
        for record in &after.records {
            let (id, title) = (record.id(), record.title().to_owned());
            let Some(earlier) = known.get(id) else {
                difference.appended.push(title);
                continue;
            };
            let marks = [before, after].map(|held| held.withdrawn.contains_key(id));
            match marks {
                [false, true] => difference.withdrawn.push(title.clone()),
                [true, false] => difference.returned.push(title.clone()),
                _ => {}
            }
            if *earlier != record {
                difference.updated.push(title);
            }
        }
        let gone = before.records.iter();
        let gone = gone.filter(|record| !present.contains_key(record.id()));
        difference.removed = gone.map(|record| record.title().to_owned()).collect();
        let stays = |held: &'_ Held, other: &HashMap<&str, &Record>| -> Vec<String> {
            let ids = held.records.iter().map(Record::id);
            ids.filter(|id| other.contains_key(id))
                .map(str::to_owned)
                .collect()
        };
        difference.reordered = stays(before, &present) != stays(after, &known);
        difference
    }

    /// Whether nothing differs.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn by_id(held: &Held) -> HashMap<&str, &Record> {
    let records = held.records.iter();
    records.map(|record| (record.id(), record)).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (&self.appended, "appended"),
            (&self.updated, "updated"),
            (&self.withdrawn, "withdrawn"),
            (&self.returned, "returned"),
            (&self.removed, "removed"),
        ];
        let mut texts: Vec<_> = kinds
            .into_iter()
            .filter(|(titles, _)| !titles.is_empty())
            .map(|(titles, what)| format!("{} {what} ({})", titles.len(), named(titles)))
            .collect();
        if self.reordered {
            texts.push("in another order".to_owned());
        }
        f.write_str(&texts.join(", "))
    }
}

/// The first titles, and how many more there are. Each title once: two records may share one.
fn named(titles: &[String]) -> String {
    let mut seen = HashSet::new();
    let different = titles.iter().filter(|title| seen.insert(title.as_str()));
    let mut shown: Vec<_> = different
        .take(MOST_NAMED)
        .map(|title| printable(title, LONGEST))
        .collect();
    if titles.len() > MOST_NAMED {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};
    use shared::catalogue::Listing;
    use shared::catalogue::snapshot::Source;

    use super::*;

    fn held(records: &Value, withdrawn: &[&str]) -> Held {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let listing = Listing::read(records.to_string().as_bytes()).expect("records");
        let mut held = Held::empty(Source::Upstream, at).merge(&listing, at).0;
        let marks = withdrawn.iter().map(|id| ((*id).to_owned(), at));
        held.withdrawn.extend(marks);
        held
    }

    #[test]
    fn every_kind_of_change_is_named_by_title() {
        let before = held(
            &json!([{"id": "a", "title": "A"}, {"id": "b", "title": "B"}, {"id": "c", "name": "C"},
                    {"id": "d"}]),
            &["b"],
        );
        let after = held(
            &json!([{"id": "b", "title": "B"}, {"id": "a", "title": "A2"}, {"id": "c", "name": "C"},
                    {"id": "e", "title": "E\u{1b}[2J"}]),
            &["c"],
        );
        let difference = Difference::between(&before, &after);
        assert_eq!(
            difference.to_string(),
            "1 appended (E\\u{1b}[2J), 1 updated (A2), 1 withdrawn (C), 1 returned (B), \
             1 removed (d), in another order"
        );
        assert!(Difference::between(&after, &after).is_none());
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<_> = (0..100).map(|id| json!({"id": id})).collect();
        let difference = Difference::between(&held(&json!([]), &[]), &held(&json!(many), &[]));
        let text = difference.to_string();
        assert_eq!(text, "100 appended (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)");
    }
}
