//! Which records belong together. A relation counts when either record lists it, because the
//! upstream lists many relations on one side only.
//!
//! Pure. Only the path of a link matters, not its host. A link without an id, or to an unknown
//! record, is ignored.

use serde_json::{Map, Value};
use shared::catalogue::{Collection, PerCollection};

/// For each record, the positions of the records that belong to it.
#[derive(Debug)]
pub(super) struct Relations(PerCollection<Vec<PerCollection<Vec<u32>>>>);

impl Relations {
    /// Follows the links of all records. `find` returns the position of a record.
    pub(super) fn of<'a>(
        records: &PerCollection<Vec<&'a Map<String, Value>>>,
        find: impl Fn(Collection, &'a str) -> Option<u32>,
    ) -> Self {
        let mut related = PerCollection::from_fn(|collection| {
            let nothing = PerCollection::<Vec<u32>>::default();
            vec![nothing; records[collection].len()]
        });
        for (from, records) in records.iter() {
            for (position, fields) in (0..).zip(records) {
                for (to, id) in links(fields) {
                    if let Some(found) = find(to, id) {
                        related[from][position as usize][to].push(found);
                        related[to][found as usize][from].push(position);
                    }
                }
            }
        }
        Self(related.map(|mut records| {
            for one in &mut records {
                for collection in Collection::ALL {
                    one[collection].sort_unstable();
                    one[collection].dedup();
                    one[collection].shrink_to_fit();
                }
            }
            records
        }))
    }

    /// The positions, in order, of the records in `to` that belong to the record at a position.
    pub(super) fn positions(&self, from: Collection, position: u32, to: Collection) -> &[u32] {
        &self.0[from][position as usize][to]
    }
}

/// The record that a link in the data points to: `https://any.host/any/path/people/{id}`.
pub(super) fn target(link: &str) -> Option<(Collection, &str)> {
    let (_scheme, rest) = link.split_once("://")?;
    let (_host, path) = rest.split_once('/')?;
    let (parents, id) = path.strip_suffix('/').unwrap_or(path).rsplit_once('/')?;
    let collection = parents.rsplit('/').next()?.parse().ok()?;
    (!id.is_empty()).then_some((collection, id))
}

/// The records to which any field except `url` links.
fn links(fields: &Map<String, Value>) -> impl Iterator<Item = (Collection, &str)> {
    let fields = fields.iter().filter(|(name, _)| *name != "url");
    let values = fields.flat_map(|(_, value)| match value {
        Value::Array(items) => items.as_slice(),
        value => std::slice::from_ref(value),
    });
    values.filter_map(Value::as_str).filter_map(target)
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
