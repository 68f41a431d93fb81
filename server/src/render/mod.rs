//! A snapshot as bytes: every JSON body of a generation, rendered, compressed and tagged once.
//!
//! Pure: the same snapshot and links give the same bytes on every replica. Bodies have the
//! upstream's format, which is that of JavaScript's `JSON.stringify(value, null, 2)`.

mod body;
mod links;
mod relations;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use memchr::memchr_iter;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::{Collection, PerCollection, Record};

use crate::query::Shown;
use relations::{Relations, target};

pub use body::{Body, CodedBody};
pub use links::Links;

/// The content type of JSON, spelt as the upstream spells it.
pub const JSON: &str = "application/json; charset=utf-8";

/// The JSON side of the mirror for one generation.
#[derive(Debug)]
pub struct RenderedCatalogue {
    /// The snapshot's generation.
    pub generation: u64,
    /// The five collections.
    pub collections: PerCollection<RenderedCollection>,
    /// All five as one object.
    pub db: Body,
    relations: Arc<Relations>,
}

/// One collection.
#[derive(Debug)]
pub struct RenderedCollection {
    /// All its records as one array.
    pub body: Body,
    /// The records in order.
    pub items: Vec<RenderedRecord>,
    positions: Arc<HashMap<Arc<str>, u32>>,
}

/// One record.
#[derive(Clone, Debug)]
pub struct RenderedRecord {
    /// The record, which the snapshot shares.
    record: Record,
    /// The record as bytes.
    pub body: Body,
    /// The record's place in the text of the whole collection.
    range: Range<usize>,
}

/// The content type of pages.
pub const HTML: &str = "text/html; charset=utf-8";

impl RenderedCatalogue {
    /// Renders a snapshot, whose records it shares. Takes bodies that an earlier catalogue has
    /// already from there, with their compressed forms; the others have none yet. Do not call it on
    /// the request path.
    pub fn render(snapshot: &Snapshot, earlier: Option<&Self>) -> Self {
        let collections = PerCollection::from_fn(|collection| {
            let earlier = earlier.map(|earlier| &earlier.collections[collection]);
            RenderedCollection::render(snapshot, collection, earlier)
        });
        let fields =
            PerCollection::from_fn(|collection| collections[collection].fields().collect());
        let changes = snapshot.collections.iter().map(|(_, held)| held.as_of);
        let last_change = changes.max().unwrap_or(snapshot.committed_at);
        let db = body(&fields, earlier.map(|earlier| &earlier.db));
        let relations = Relations::of(&fields, |collection, id| {
            collections[collection].positions.get(id).copied()
        });
        Self {
            generation: snapshot.generation,
            db: db.modified_at(last_change),
            relations: Arc::new(relations),
            collections,
        }
    }

    /// The same catalogue with every body compressed. Shares everything else. Takes a fifth of a
    /// second.
    #[must_use]
    pub fn compressed(&self) -> Self {
        Self {
            generation: self.generation,
            collections: PerCollection::from_fn(|collection| {
                self.collections[collection].compressed()
            }),
            db: self.db.clone().compressed(),
            relations: self.relations.clone(),
        }
    }

    /// The record that a link in the data leads to.
    pub fn resolve(&self, link: &str) -> Option<&Map<String, Value>> {
        let (collection, id) = target(link)?;
        Some(self.collections[collection].item(id)?.fields())
    }

    /// The records of collection `to` that belong to a record, whichever of them holds the link.
    pub fn related(
        &self,
        from: Collection,
        id: &str,
        to: Collection,
    ) -> impl Iterator<Item = &RenderedRecord> {
        let others = &self.collections[to].items;
        let positions = self.positions_of_related(from, id, to);
        positions.map(|position| &others[position])
    }

    /// The positions of those records in their collection.
    pub fn positions_of_related(
        &self,
        from: Collection,
        id: &str,
        to: Collection,
    ) -> impl Iterator<Item = usize> {
        let position = self.collections[from].positions.get(id);
        let related = position.map(|position| self.relations.positions(from, *position, to));
        related.into_iter().flatten().map(|it| *it as usize)
    }

    /// A list of records as JSON. Copies the text of those that are whole.
    pub fn list(&self, collection: Collection, records: &[Shown<'_>]) -> String {
        let whole = &self.collections[collection];
        let mut json = String::from("[");
        for (position, record) in records.iter().enumerate() {
            json.push_str(if position == 0 { "\n  " } else { ",\n  " });
            match record {
                Shown::Whole(record) if let Some(text) = whole.text(record) => json.push_str(text),
                // Strings have no line ends in JSON.
                record => json.push_str(&pretty(record).replace('\n', "\n  ")),
            }
        }
        json.push_str(if records.is_empty() { "]" } else { "\n]" });
        json
    }
}

impl RenderedCollection {
    fn render(snapshot: &Snapshot, collection: Collection, earlier: Option<&Self>) -> Self {
        let held = &snapshot.collections[collection];
        // `[`, and a line end before each record.
        let mut end = 1;
        let items: Vec<_> = snapshot
            .records(collection)
            .iter()
            .map(|record| {
                let before = earlier.and_then(|earlier| earlier.item(record.id()));
                let body = body(record, before.map(|before| &before.body));
                let changed_at = held.changed_at(record.id()).unwrap_or(held.as_of);
                let body = body.modified_at(changed_at);
                let text = &body.identity.bytes;
                let line_ends = memchr_iter(b'\n', text).count();
                let start = end + "\n  ".len();
                let range = start..start + text.len() + line_ends * "  ".len();
                end = range.end + ",".len();
                RenderedRecord {
                    record: record.clone(),
                    body,
                    range,
                }
            })
            .collect();
        let ids = items.iter().map(|item| item.record.shared_id());
        let positions = ids.zip(0..).collect();
        let body = body(
            &snapshot.records(collection),
            earlier.map(|earlier| &earlier.body),
        );
        Self {
            body: body.modified_at(held.as_of),
            items,
            positions: Arc::new(positions),
        }
    }

    fn compressed(&self) -> Self {
        let items = self.items.iter().map(|item| RenderedRecord {
            body: item.body.clone().compressed(),
            ..item.clone()
        });
        Self {
            body: self.body.clone().compressed(),
            items: items.collect(),
            positions: self.positions.clone(),
        }
    }

    /// A record by its id.
    pub fn item(&self, id: &str) -> Option<&RenderedRecord> {
        Some(&self.items[self.position(id)?])
    }

    /// The place of a record among [`items`](Self::items).
    pub fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).map(|position| *position as usize)
    }

    /// The text of a record in the text of the whole collection, if it is one of these records and
    /// not a changed copy of one.
    fn text(&self, record: &Map<String, Value>) -> Option<&str> {
        let item = self.item(record.get("id")?.as_str()?)?;
        let text = self.body.identity.bytes.get(item.range.clone())?;
        let is_whole = std::ptr::eq(record, item.fields());
        is_whole.then(|| std::str::from_utf8(text).ok()).flatten()
    }

    /// The records in order.
    pub fn fields(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.items.iter().map(RenderedRecord::fields)
    }
}

impl RenderedRecord {
    /// The record's id.
    pub fn id(&self) -> &str {
        self.record.id()
    }

    /// The record's fields.
    pub fn fields(&self) -> &Map<String, Value> {
        self.record.fields()
    }
}

/// A value as a JSON body; the earlier body if it has the same text.
fn body(value: &impl serde::Serialize, earlier: Option<&Body>) -> Body {
    let text = pretty(value);
    match earlier {
        Some(earlier) if earlier.identity.bytes == text => earlier.clone(),
        _ => Body::uncompressed(JSON, text.into_boxed_str().into_boxed_bytes()),
    }
}

/// What may stand in a path segment as it is (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An id as a segment of a path.
pub fn segment(id: &str) -> String {
    utf8_percent_encode(id, UNRESERVED).to_string()
}

/// Formats JSON as the upstream does.
pub fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("JSON values serialise")
}
