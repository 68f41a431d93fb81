//! What the status shows of a snapshot. The reader frees the snapshot once it is rendered, so these
//! facts are taken out before.

use chrono::{DateTime, Utc};
use shared::catalogue::PerCollection;
use shared::catalogue::snapshot::{Snapshot, Source};

/// A snapshot without its records.
#[derive(Clone, Debug)]
pub struct Facts {
    pub(super) generation: u64,
    pub(super) committed_at: DateTime<Utc>,
    pub(super) upstream: String,
    pub(super) releases: usize,
    pub(super) collections: PerCollection<Counts>,
}

/// One collection without its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) records: usize,
    pub(super) withdrawn: usize,
    pub(super) source: Source,
    pub(super) as_of: DateTime<Utc>,
}

impl Facts {
    /// The facts of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            generation: snapshot.generation,
            committed_at: snapshot.committed_at,
            upstream: snapshot.upstream.clone(),
            releases: snapshot.releases.len(),
            collections: PerCollection::from_fn(|collection| {
                let held = &snapshot.collections[collection];
                Counts {
                    records: held.records.len(),
                    withdrawn: held.withdrawn.len(),
                    source: held.source,
                    as_of: held.as_of,
                }
            }),
        }
    }
}
