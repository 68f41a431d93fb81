//! A snapshot as bytes: every JSON body of a generation, rendered, compressed and tagged once.
//!
//! Pure: the same snapshot and links give the same bytes on every replica. Bodies have the
//! upstream's format, which is that of JavaScript's `JSON.stringify(value, null, 2)`.

mod body;
mod links;
pub(crate) mod relations;

use std::collections::HashMap;

use serde_json::{Map, Value};
use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::{Collection, PerCollection};

use relations::{Party, are_related, target};

use links::Rewriting;

pub use body::{Body, Form};
pub use links::Links;

/// The content type of JSON, spelt as the upstream spells it.
pub const JSON: &str = "application/json; charset=utf-8";

/// The JSON side of the mirror for one generation.
#[derive(Debug)]
pub struct RenderedCatalogue {
    /// The snapshot's generation.
    pub generation: u64,
    /// The five collections.
    pub shelves: PerCollection<RenderedCollection>,
    /// All five as one object.
    pub db: Body,
}

/// One collection.
#[derive(Debug)]
pub struct RenderedCollection {
    /// All its records as one array.
    pub body: Body,
    /// The records in order.
    pub items: Vec<RenderedRecord>,
    positions: HashMap<String, usize>,
}

/// One record, with its links rewritten.
#[derive(Debug)]
pub struct RenderedRecord {
    /// The record's id.
    pub id: String,
    /// The record's fields.
    pub fields: Map<String, Value>,
    /// The record as bytes.
    pub body: Body,
}

impl RenderedCatalogue {
    /// Renders a snapshot. Reuses unchanged bodies of an earlier site, because compressing all of
    /// them takes a fifth of a second. Do not call it on the request path.
    pub fn render(snapshot: &Snapshot, links: &Links, earlier: Option<&Self>) -> Self {
        let links = links.of(snapshot);
        let shelves = PerCollection::from_fn(|collection| {
            let earlier = earlier.map(|site| &site.shelves[collection]);
            RenderedCollection::render(snapshot, collection, &links, earlier)
        });
        let all: Map<_, _> = shelves
            .iter()
            .map(|(collection, shelf)| {
                (
                    collection.name().to_owned(),
                    shelf.fields().cloned().collect(),
                )
            })
            .collect();
        let changes = snapshot.collections.iter().map(|(_, held)| held.as_of);
        let last_change = changes.max().unwrap_or(snapshot.committed_at);
        let db = json(&all, earlier.map(|site| &site.db)).modified_at(last_change);
        Self {
            generation: snapshot.generation,
            shelves,
            db,
        }
    }

    /// The record that a link in the data leads to.
    pub fn resolve(&self, link: &str) -> Option<&Map<String, Value>> {
        let (collection, id) = target(link)?;
        Some(&self.shelves[collection].item(id)?.fields)
    }

    /// The records of collection `to` that belong to a record, whichever of them holds the link.
    pub fn related<'a>(
        &'a self,
        from: Collection,
        item: &'a RenderedRecord,
        to: Collection,
    ) -> impl Iterator<Item = &'a Map<String, Value>> {
        let item = item.party(from);
        let others = self.shelves[to].items.iter();
        others
            .filter(move |other| are_related(item, other.party(to)))
            .map(|other| &other.fields)
    }
}

impl RenderedCollection {
    fn render(
        snapshot: &Snapshot,
        collection: Collection,
        links: &Rewriting<'_>,
        earlier: Option<&Self>,
    ) -> Self {
        let held = &snapshot.collections[collection];
        let items: Vec<_> = snapshot
            .records(collection)
            .iter()
            .map(|record| {
                let fields = links.record(record);
                let earlier = earlier.and_then(|shelf| shelf.item(record.id()));
                let body = json(&fields, earlier.map(|item| &item.body));
                let changed_at = held.changed_at(record.id()).unwrap_or(held.as_of);
                let body = body.modified_at(changed_at);
                RenderedRecord {
                    id: record.id().to_owned(),
                    fields,
                    body,
                }
            })
            .collect();
        let positions = items.iter().map(|item| item.id.clone()).zip(0..).collect();
        let all: Vec<_> = items.iter().map(|item| &item.fields).collect();
        let body = json(&all, earlier.map(|shelf| &shelf.body)).modified_at(held.as_of);
        Self {
            body,
            items,
            positions,
        }
    }

    /// A record by its id.
    pub fn item(&self, id: &str) -> Option<&RenderedRecord> {
        self.positions
            .get(id)
            .map(|position| &self.items[*position])
    }

    /// The records in order.
    pub fn fields(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.items.iter().map(|item| &item.fields)
    }
}

impl RenderedRecord {
    fn party(&self, collection: Collection) -> Party<'_> {
        Party {
            collection,
            id: &self.id,
            fields: &self.fields,
        }
    }
}

fn json(value: &impl serde::Serialize, earlier: Option<&Body>) -> Body {
    Body::renew(earlier, JSON, pretty(value))
}

/// Formats JSON as the upstream does.
pub fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("JSON values serialise")
}
