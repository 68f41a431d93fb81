//! A snapshot as bytes: every JSON body of a generation, compressed and tagged, made once.
//!
//! Pure: the same snapshot and links give the same bytes on every replica. Bodies are formatted
//! as the upstream formats them, which is as JavaScript's `JSON.stringify(value, null, 2)`.

mod body;
mod links;

use std::collections::HashMap;

use serde_json::{Map, Value};
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
    /// Renders a snapshot. Takes tens of milliseconds; not for the request path.
    pub fn render(snapshot: &Snapshot, links: &Links) -> Self {
        let all: PerCollection<Vec<Value>> = PerCollection::from_fn(|collection| {
            let records = snapshot.records(collection).iter();
            records
                .map(|record| links.rewrite(snapshot, record))
                .collect()
        });
        Self {
            generation: snapshot.generation,
            collections: PerCollection::from_fn(|collection| json(&all[collection])),
            records: PerCollection::from_fn(|collection| {
                let ids = snapshot
                    .records(collection)
                    .iter()
                    .map(|record| record.id().to_owned());
                ids.zip(all[collection].iter().map(json)).collect()
            }),
            db: json(
                &Collection::ALL
                    .map(|collection| {
                        (
                            collection.name().to_owned(),
                            Value::Array(all[collection].clone()),
                        )
                    })
                    .into_iter()
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

fn json(value: &impl serde::Serialize) -> Body {
    let text = serde_json::to_string_pretty(value).expect("JSON values serialise");
    Body::new("application/json; charset=utf-8", text)
}
