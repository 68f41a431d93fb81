//! The whole status at one moment, as `/status.json` has it and the page shows it.
//!
//! Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::catalogue::snapshot::Source;
use shared::catalogue::status::{Confirmation, Status};
use shared::catalogue::{Collection, PerCollection};

use super::facts::Facts;
use super::judge::{self, Trouble};
use crate::VERSION;
use crate::follow::Known;

/// How everything is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether all is well.
    pub(super) well: bool,
    /// The same in words; if not, what is wrong, since when, and what happens next.
    pub(super) sentence: String,
    /// Everything that is wrong, the most urgent first.
    pub(super) troubles: Vec<Trouble>,
    /// When this was so.
    pub(super) at: DateTime<Utc>,
    pub(super) reader: ReaderState,
    pub(super) catalogue: Option<Catalogue>,
    pub(super) sync: Option<Sync>,
    pub(super) collections: Option<PerCollection<CollectionState>>,
}

/// The reader that answered.
#[derive(Debug, Serialize)]
pub(super) struct ReaderState {
    pub(super) version: &'static str,
    pub(super) started_at: DateTime<Utc>,
    pub(super) cache_readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_unreadable_since: Option<DateTime<Utc>>,
}

/// The snapshot that is served.
#[derive(Debug, Serialize)]
pub(super) struct Catalogue {
    pub(super) generation: u64,
    pub(super) committed_at: DateTime<Utc>,
    pub(super) source: Source,
    pub(super) upstream: String,
    pub(super) releases: usize,
}

/// The last sync.
#[derive(Debug, Serialize)]
pub(super) struct Sync {
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    pub(super) last_success_at: Option<DateTime<Utc>>,
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    pub(super) failures_in_a_row: u32,
}

/// One collection.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CollectionState {
    pub(super) records: usize,
    pub(super) withdrawn: usize,
    pub(super) set_aside: usize,
    pub(super) source: Source,
    /// When the upstream first sent it as it is.
    pub(super) as_of: DateTime<Utc>,
    /// When the upstream last confirmed it.
    pub(super) confirmed_at: Option<DateTime<Utc>>,
    /// Why the last sync did not confirm it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    /// Whether the poller rejected the answer.
    pub(super) rejected: bool,
    /// What accepting the rejected answer would mean, if that is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accepting: Option<String>,
}

impl Report {
    pub(super) fn of(
        facts: Option<&Facts>,
        known: &Known,
        started_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let status = known.status.as_ref();
        let troubles = judge::troubles(facts, known, started_at, now);
        Self {
            well: troubles.is_empty(),
            sentence: judge::sentence(&troubles, status, now),
            troubles,
            at: now,
            reader: ReaderState {
                version: VERSION,
                started_at,
                cache_readable: known.trouble.is_none(),
                cache_unreadable_since: known.trouble_since,
            },
            catalogue: facts.map(Catalogue::of),
            sync: status.map(Sync::of),
            collections: facts
                .map(|facts| PerCollection::from_fn(|one| CollectionState::of(one, facts, status))),
        }
    }
}

impl Catalogue {
    fn of(facts: &Facts) -> Self {
        let mut collections = facts.collections.iter();
        let is_built_in = collections.any(|(_, counts)| counts.source == Source::BuiltIn);
        Self {
            generation: facts.generation,
            committed_at: facts.committed_at,
            source: if is_built_in {
                Source::BuiltIn
            } else {
                Source::Upstream
            },
            upstream: facts.upstream.clone(),
            releases: facts.releases,
        }
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.source == Source::BuiltIn
    }
}

impl Sync {
    fn of(status: &Status) -> Self {
        Self {
            started_at: status.started_at,
            finished_at: status.finished_at,
            last_success_at: status.last_success_at,
            next_attempt_at: status.next_attempt_at,
            failures_in_a_row: status.failures_in_a_row,
        }
    }
}

impl CollectionState {
    fn of(collection: Collection, facts: &Facts, status: Option<&Status>) -> Self {
        let counts = facts.collections[collection];
        let never = Confirmation::default();
        let confirmation = status.map_or(&never, |status| &status.collections[collection]);
        Self {
            records: counts.records,
            withdrawn: counts.withdrawn,
            set_aside: confirmation.set_aside,
            source: counts.source,
            as_of: counts.as_of,
            confirmed_at: confirmation.confirmed_at,
            failure: confirmation.failure.clone(),
            rejected: confirmation.rejected,
            accepting: judge::accepting(collection.name(), confirmation),
        }
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.source == Source::BuiltIn
    }
}
