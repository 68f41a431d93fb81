//! The domain: what the mirror knows.
//!
//! | module | owns |
//! |---|---|
//! | this one | collections and records |
//! | `parse` | which upstream answers and records are acceptable |
//! | `merge` | what an accepted answer changes; what is suspicious |
//! | [`snapshot`] | everything the mirror knows, as one immutable document |
//! | [`lineage`] | which commits a snapshot builds on |
//! | [`status`] | what the last syncs did |
//! | [`stored`] | snapshot and status as JSON documents; which formats this build reads |
//! | `format1` | the snapshot's format before the current one |
//!
//! Pure: no I/O, no clock, no globals. Interprets nothing of a record but its `id`; everything else
//! leaves the mirror as the upstream sent it.

mod format1;
pub mod lineage;
mod merge;
mod parse;
pub mod snapshot;
pub mod status;
pub mod stored;

use std::fmt;
use std::ops::{Index, IndexMut};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

pub use merge::{Changes, Suspicion, Update};
pub use parse::{Flaw, Listing, Rejection, SetAside};

/// One of the upstream's five collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// The films.
    Films,
    /// The people in them.
    People,
    /// The places where they happen.
    Locations,
    /// The kinds of beings.
    Species,
    /// What they fly, drive and row.
    Vehicles,
}

impl Collection {
    /// All five, in the order in which the upstream lists them.
    pub const ALL: [Self; 5] = [
        Self::Films,
        Self::People,
        Self::Locations,
        Self::Species,
        Self::Vehicles,
    ];

    /// The name as used in URLs, in the cache and in log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Films => "films",
            Self::People => "people",
            Self::Locations => "locations",
            Self::Species => "species",
            Self::Vehicles => "vehicles",
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is not one of the five collections.
#[derive(Debug, thiserror::Error)]
#[error("no such collection: expected films, people, locations, species or vehicles")]
pub struct UnknownCollection;

impl FromStr for Collection {
    type Err = UnknownCollection;

    /// Reads a name; ignores upper and lower case, as the upstream's router does.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|collection| collection.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownCollection)
    }
}

/// One value for each collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the collections")]
pub struct PerCollection<T> {
    pub films: T,
    pub people: T,
    pub locations: T,
    pub species: T,
    pub vehicles: T,
}

impl<T> PerCollection<T> {
    /// Builds one value per collection.
    pub fn from_fn(mut build: impl FnMut(Collection) -> T) -> Self {
        Self {
            films: build(Collection::Films),
            people: build(Collection::People),
            locations: build(Collection::Locations),
            species: build(Collection::Species),
            vehicles: build(Collection::Vehicles),
        }
    }

    /// Turns each value into another.
    pub fn map<U>(self, mut turn: impl FnMut(T) -> U) -> PerCollection<U> {
        PerCollection {
            films: turn(self.films),
            people: turn(self.people),
            locations: turn(self.locations),
            species: turn(self.species),
            vehicles: turn(self.vehicles),
        }
    }

    /// The five values with their collections, in [`Collection::ALL`]'s order.
    pub fn iter(&self) -> impl Iterator<Item = (Collection, &T)> + Clone {
        Collection::ALL
            .into_iter()
            .map(|collection| (collection, &self[collection]))
    }
}

impl<T> Index<Collection> for PerCollection<T> {
    type Output = T;

    fn index(&self, collection: Collection) -> &T {
        match collection {
            Collection::Films => &self.films,
            Collection::People => &self.people,
            Collection::Locations => &self.locations,
            Collection::Species => &self.species,
            Collection::Vehicles => &self.vehicles,
        }
    }
}

impl<T> IndexMut<Collection> for PerCollection<T> {
    fn index_mut(&mut self, collection: Collection) -> &mut T {
        match collection {
            Collection::Films => &mut self.films,
            Collection::People => &mut self.people,
            Collection::Locations => &mut self.locations,
            Collection::Species => &mut self.species,
            Collection::Vehicles => &mut self.vehicles,
        }
    }
}

/// One JSON object of a collection, kept as the upstream sent it: key order, strings, numbers as
/// they were spelt, unknown fields and all. Copies share it, so that copies of a snapshot are cheap.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Record {
    id: Arc<str>,
    fields: Arc<Map<String, Value>>,
}

impl Record {
    /// The record's `id` as text, which identifies it. An integer id is its digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id, for an owner that outlives the record.
    pub fn shared_id(&self) -> Arc<str> {
        self.id.clone()
    }

    /// The whole object.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Changes the object. The record keeps the id that identifies it.
    pub fn edit(&mut self, change: impl FnOnce(&mut Map<String, Value>)) {
        change(Arc::make_mut(&mut self.fields));
    }

    /// A field's value, if it is a string.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// A name for people: the record's title, or its name, or else its id.
    pub fn title(&self) -> &str {
        self.text("title")
            .or_else(|| self.text("name"))
            .unwrap_or(&self.id)
    }
}

/// Two records are equal when the mirror would write them as the same bytes; key order counts.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.fields.iter().zip(&*other.fields);
        Arc::ptr_eq(&self.fields, &other.fields)
            || self.fields.len() == other.fields.len()
                && pairs.all(|((key, value), (other_key, other))| {
                    key == other_key && same_bytes(value, other)
                })
    }
}

/// Whether two values serialise to the same bytes; `==` ignores a nested object's key order.
fn same_bytes(one: &Value, other: &Value) -> bool {
    let flat = !one.is_object() && !one.is_array();
    one == other && (flat || one.to_string().eq(&other.to_string()))
}

/// A record without a usable `id`.
#[derive(Debug, thiserror::Error)]
#[error("`id` must be a string or an integer")]
pub struct NoId;

impl TryFrom<Map<String, Value>> for Record {
    type Error = NoId;

    fn try_from(fields: Map<String, Value>) -> Result<Self, NoId> {
        let id = fields.get("id").and_then(id_of).ok_or(NoId)?;
        Ok(Self {
            id: id.into(),
            fields: Arc::new(fields),
        })
    }
}

/// The text of an `id`, if it can identify a record.
fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}
