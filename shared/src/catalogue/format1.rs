//! Snapshots of format 1, which kept a collection's records one level deeper, under `known`. Only
//! reads them; a poller writes the current format with its next change.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::lineage::Lineage;
use super::snapshot::{FORMAT, Held, Release, Snapshot, Source};
use super::{PerCollection, Record};

#[derive(Deserialize)]
pub(super) struct Format1 {
    generation: u64,
    #[serde(default)]
    lineage: Lineage,
    committed_at: DateTime<Utc>,
    upstream: String,
    releases: Vec<Release>,
    collections: PerCollection<HeldInFormat1>,
}

#[derive(Deserialize)]
struct HeldInFormat1 {
    source: Source,
    as_of: DateTime<Utc>,
    etag: Option<String>,
    known: Known,
}

#[derive(Deserialize)]
struct Known {
    records: Vec<Record>,
    #[serde(default)]
    withdrawn: BTreeMap<String, DateTime<Utc>>,
    #[serde(default)]
    changed: BTreeMap<String, DateTime<Utc>>,
}

impl From<Format1> for Snapshot {
    fn from(stored: Format1) -> Self {
        Self {
            format: FORMAT,
            generation: stored.generation,
            lineage: stored.lineage,
            committed_at: stored.committed_at,
            upstream: stored.upstream,
            releases: stored.releases,
            collections: stored.collections.map(|held| Held {
                source: held.source,
                as_of: held.as_of,
                etag: held.etag,
                records: held.known.records,
                withdrawn: held.known.withdrawn,
                changed: held.known.changed,
            }),
        }
    }
}
