//! Which records belong together. A relation counts when either record lists it, because the
//! upstream lists many relations on one side only.
//!
//! Pure. Only the path of a link matters, not its host. A link without an id, or to an unknown
//! record, is ignored.

use serde_json::{Map, Value};
use shared::catalogue::Collection;

/// What the relations need to know of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'a> {
    /// The record's collection.
    pub collection: Collection,
    /// The record's id.
    pub id: &'a str,
    /// The record's fields.
    pub fields: &'a Map<String, Value>,
}

/// The record that a link in the data points to: `https://any.host/any/path/people/{id}`.
pub(crate) fn target(link: &str) -> Option<(Collection, &str)> {
    let (_scheme, rest) = link.split_once("://")?;
    let (_host, path) = rest.split_once('/')?;
    let (parents, id) = path.strip_suffix('/').unwrap_or(path).rsplit_once('/')?;
    let collection = parents.rsplit('/').next()?.parse().ok()?;
    (!id.is_empty()).then_some((collection, id))
}

/// Whether either of two records links to the other.
pub(crate) fn are_related(one: Party<'_>, other: Party<'_>) -> bool {
    links_to(one, other) || links_to(other, one)
}

/// Whether any field except `url` holds a link to the other record.
fn links_to(from: Party<'_>, to: Party<'_>) -> bool {
    let points = |value: &Value| {
        value
            .as_str()
            .and_then(target)
            .is_some_and(|found| found == (to.collection, to.id))
    };
    from.fields
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
