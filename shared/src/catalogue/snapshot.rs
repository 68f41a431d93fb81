//! The snapshot: everything the mirror knows, as one document that is immutable once committed.
//!
//! Its fields are the stored format, which `stored` reads and writes. Does not know where it is
//! stored ([`crate::cache`]) or how it was made (the poller's sync).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::lineage::Lineage;
use crate::catalogue::{Collection, PerCollection, Record};

/// The version of the format that this build writes, and the newest it can read. Format 1 kept
/// `records`, `withdrawn` and `changed` one level deeper, under `known`.
pub const FORMAT: u32 = 2;

/// The largest generation that is read. The commit script uses floating-point numbers, so above it
/// there is no exact next number. At one commit a second it is 285 million years away.
pub const LAST_GENERATION: u64 = 1 << 53;

/// The largest snapshot that is read, in bytes: hundreds of times the upstream's whole database.
pub const MAX_BYTES: usize = 64 << 20;

/// Everything the mirror knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT`] at the time of writing.
    pub format: u32,
    /// Grows by one with each commit that changes content.
    ///
    /// A new cache starts at the Unix time in seconds instead of one, and a restored cache
    /// continues from there. So for a reader that was running when the cache was lost, the number
    /// never goes back and never means something else.
    // Second in the document, because the commit script reads it from the first bytes.
    pub generation: u64,
    /// The commits that it builds on, its own included.
    #[serde(default)]
    pub lineage: Lineage,
    /// When this generation was committed.
    pub committed_at: DateTime<Utc>,
    /// The base URL that the poller syncs with.
    pub upstream: String,
    /// The films that were new to the mirror after its baseline, oldest first.
    pub releases: Vec<Release>,
    /// What is known of each collection.
    pub collections: PerCollection<Held>,
}

/// What the mirror holds of one collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Where the records came from.
    pub source: Source,
    /// When the upstream first sent the collection as it is here.
    pub as_of: DateTime<Utc>,
    /// The validator that the upstream sent with it, for `If-None-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Every record ever accepted, in the order in which it is served.
    pub records: Vec<Record>,
    /// The ids that the upstream no longer lists, with the time since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withdrawn: BTreeMap<String, DateTime<Utc>>,
    /// When each record got its current content, by id.
    #[serde(default)]
    pub changed: BTreeMap<String, DateTime<Utc>>,
}

/// Where a collection's records came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Sent by the upstream.
    Upstream,
    /// From the catalogue that is compiled into the poller, because the upstream never answered.
    BuiltIn,
}

/// A film that the mirror had never seen before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Counts from one.
    pub sequence: u64,
    /// The film's id.
    pub id: String,
    /// The film's title when it was first seen.
    pub title: String,
    /// When the mirror first saw it.
    pub first_seen: DateTime<Utc>,
}

impl Snapshot {
    /// The records of a collection, in the order in which they are served.
    pub fn records(&self, collection: Collection) -> &[Record] {
        &self.collections[collection].records
    }

    /// [`Source::BuiltIn`] while any collection is the built-in one.
    pub fn source(&self) -> Source {
        let built_in = self
            .collections
            .iter()
            .any(|(_, held)| held.source == Source::BuiltIn);
        if built_in {
            Source::BuiltIn
        } else {
            Source::Upstream
        }
    }
}
