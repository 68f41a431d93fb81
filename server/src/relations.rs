//! Which records belong to which. A relation counts when either side lists it, because the
//! upstream lists many on one side only.
//!
//! Pure. Links are read by their path alone, whatever host they name; a link without an id, or to
//! a record that nobody knows, relates nothing.

use serde_json::Value;
use shared::catalogue::{Collection, Record};
use shared::snapshot::Snapshot;

/// The record that a link in the data points at: `https://any.host/people/{id}`.
pub fn target(link: &str) -> Option<(Collection, &str)> {
    let (_scheme, rest) = link.split_once("://")?;
    let (_host, path) = rest.split_once('/')?;
    let (collection, id) = path.trim_end_matches('/').split_once('/')?;
    let is_id = !id.is_empty() && !id.contains('/');
    is_id.then_some((collection.parse().ok()?, id))
}

/// The records of collection `to` that are related to a record, in their own order.
pub fn related<'a>(
    snapshot: &'a Snapshot,
    from: Collection,
    record: &Record,
    to: Collection,
) -> Vec<&'a Record> {
    let is_related =
        |other: &&Record| links_to(record, to, other.id()) || links_to(other, from, record.id());
    snapshot.records(to).iter().filter(is_related).collect()
}

/// Whether any field of a record, `url` aside, holds a link to `id` in `collection`.
fn links_to(record: &Record, collection: Collection, id: &str) -> bool {
    let points = |value: &Value| {
        value
            .as_str()
            .and_then(target)
            .is_some_and(|found| found == (collection, id))
    };
    record
        .fields()
        .iter()
        .filter(|(name, _)| *name != "url")
        .any(|(_, value)| match value {
            Value::Array(items) => items.iter().any(points),
            value => points(value),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_by_its_path() {
        assert_eq!(
            target("https://a.example/people/7"),
            Some((Collection::People, "7"))
        );
        assert_eq!(
            target("http://b.example:80/Films/x/"),
            Some((Collection::Films, "x"))
        );
        for nothing in [
            "https://a.example/people/",
            "TODO",
            "",
            "https://a.example",
            "/films/x",
            "https://a.example/actors/7",
            "https://a.example/films/x/people",
        ] {
            assert_eq!(target(nothing), None, "{nothing}");
        }
    }
}
