//! A snapshot as bytes: every JSON body of a generation, compressed and tagged, made once.
//!
//! Pure: the same snapshot and links give the same bytes on every replica. Bodies are formatted
//! as the upstream formats them, which is as JavaScript's `JSON.stringify(value, null, 2)`.

mod body;
mod links;

use std::collections::HashMap;

use serde_json::Value;
use shared::catalogue::{Collection, PerCollection};
use shared::snapshot::Snapshot;

pub use body::Body;
pub use links::Links;

/// The JSON side of the mirror for one generation.
#[derive(Debug)]
pub struct Site {
    /// The snapshot's generation.
    pub generation: u64,
    /// Each collection as one array.
    pub collections: PerCollection<Body>,
    /// Each record by its id.
    pub records: PerCollection<HashMap<String, Body>>,
    /// All five collections as one object.
    pub db: Body,
}

impl Site {
    /// Renders a snapshot. Bodies that an earlier site had already are taken from there, as
    /// compressing all of them takes a fifth of a second; not for the request path in any case.
    pub fn render(snapshot: &Snapshot, links: &Links, earlier: Option<&Self>) -> Self {
        let all: PerCollection<Vec<Value>> = PerCollection::from_fn(|collection| {
            let records = snapshot.records(collection).iter();
            records
                .map(|record| links.rewrite(snapshot, record))
                .collect()
        });
        let records = |collection: Collection| {
            let earlier = earlier.map(|site| &site.records[collection]);
            let values = snapshot.records(collection).iter().zip(&all[collection]);
            let bodies = values.map(|(record, value)| {
                let earlier = earlier.and_then(|bodies| bodies.get(record.id()));
                (record.id().to_owned(), json(value, earlier))
            });
            bodies.collect()
        };
        Self {
            generation: snapshot.generation,
            collections: PerCollection::from_fn(|collection| {
                json(
                    &all[collection],
                    earlier.map(|site| &site.collections[collection]),
                )
            }),
            records: PerCollection::from_fn(records),
            db: json(&all, earlier.map(|site| &site.db)),
        }
    }
}

fn json(value: &impl serde::Serialize, earlier: Option<&Body>) -> Body {
    let text = serde_json::to_string_pretty(value).expect("JSON values serialise");
    Body::renew(earlier, "application/json; charset=utf-8", text)
}
