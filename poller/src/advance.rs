//! The pure middle of a cycle: the snapshot so far and five outcomes give the next snapshot.
//!
//! No I/O and no clock; the moment is handed in.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use shared::catalogue::{Answer, Changes, Collection, PerCollection, Records, SetAside};
use shared::lineage::Lineage;
use shared::snapshot::{FORMAT, Held, Release, Snapshot, Source};

use crate::builtin;

/// What one cycle heard of one collection.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Still what the stored validator stands for.
    NotModified,
    /// A whole collection.
    Sent {
        /// The records.
        answer: Answer,
        /// Their validator.
        etag: Option<String>,
    },
    /// No answer, and why.
    Failed(String),
    /// An answer that is no collection, and why.
    Rejected(String),
}

/// What became of one collection in one cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    /// Confirmed by validator.
    NotModified,
    /// Sent again, and the same.
    Unchanged,
    /// The first answer ever, or one that a person accepted: it replaces what was known and
    /// announces nothing.
    Baseline,
    /// Sent, and different.
    Changed(Changes),
    /// Not confirmed, for want of an answer; what is known stays as it is.
    Failed(String),
    /// Not confirmed, because the answer was not acceptable; what is known stays as it is.
    Rejected(String),
}

impl Result {
    /// Why the collection was not confirmed, if it was not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) | Self::Rejected(reason) => Some(reason),
            Self::NotModified | Self::Unchanged | Self::Baseline | Self::Changed(_) => None,
        }
    }
}

/// A step from one snapshot to the next.
#[derive(Clone, Debug)]
pub struct Step {
    /// The snapshot after the step. Its generation is one higher exactly if content changed.
    pub snapshot: Snapshot,
    /// Whether it differs at all from what it was before, be it only by validators.
    pub must_store: bool,
    /// What became of each collection.
    pub results: PerCollection<Result>,
    /// Ids that the upstream listed more than once.
    pub duplicates: PerCollection<Vec<String>>,
    /// The records that cannot be used, of each collection that was sent.
    pub set_aside: PerCollection<Option<Vec<SetAside>>>,
    /// The films that are new since the baseline, as they were appended to the release log.
    pub released: Vec<Release>,
}

/// The snapshot that a cache starts with: the built-in catalogue, not committed yet.
///
/// Its generation is one below the current Unix time, so that the first commit's is above that of
/// any reader which outlived an earlier cache.
pub fn built_in(upstream: &str, at: DateTime<Utc>) -> Snapshot {
    let catalogue = builtin::catalogue();
    Snapshot {
        format: FORMAT,
        generation: u64::try_from(at.timestamp()).unwrap_or_default(),
        lineage: Lineage::default(),
        committed_at: at,
        upstream: upstream.to_owned(),
        releases: Vec::new(),
        collections: PerCollection::from_fn(|collection| Held {
            source: Source::BuiltIn,
            as_of: at,
            etag: None,
            known: Records::default().merge(&catalogue[collection], at).0,
        }),
    }
}

/// What to do with an answer that takes away too much (sync rule 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Reject it: a person should look first.
    #[default]
    Suspicious,
    /// A person has looked, and the upstream means it: it becomes the new baseline. What it lacks
    /// is dropped, and what is new in it is not announced.
    Accepting,
}

/// Removes the withdrawn records (sync rule 6). Returns the snapshot without them, and their ids;
/// nothing when there are none.
pub fn prune(
    before: &Snapshot,
    at: DateTime<Utc>,
) -> Option<(Snapshot, PerCollection<Vec<String>>)> {
    let mut after = before.clone();
    let pruned = PerCollection::from_fn(|collection| {
        let held = &mut after.collections[collection];
        let pruned = held.known.prune();
        if !pruned.is_empty() {
            held.as_of = at;
        }
        pruned
    });
    if pruned.iter().all(|(_, ids)| ids.is_empty()) {
        return None;
    }
    after.generation += 1;
    after.committed_at = at;
    Some((after, pruned))
}

/// Takes one step.
pub fn advance(
    before: &Snapshot,
    upstream: &str,
    outcomes: PerCollection<Outcome>,
    trust: Trust,
    at: DateTime<Utc>,
) -> Step {
    let mut step = Step {
        snapshot: before.clone(),
        must_store: before.upstream != upstream,
        results: PerCollection::from_fn(|_| Result::NotModified),
        duplicates: PerCollection::default(),
        set_aside: PerCollection::default(),
        released: Vec::new(),
    };
    upstream.clone_into(&mut step.snapshot.upstream);
    let mut outcomes = outcomes;
    for collection in Collection::ALL {
        let outcome = std::mem::replace(&mut outcomes[collection], Outcome::NotModified);
        step.take(collection, outcome, trust, at);
    }
    let content = |result: &Result| matches!(result, Result::Baseline | Result::Changed(_));
    if step.results.iter().any(|(_, result)| content(result)) {
        step.must_store = true;
        step.snapshot.generation += 1;
        step.snapshot.committed_at = at;
    }
    step
}

impl Step {
    fn take(&mut self, collection: Collection, outcome: Outcome, trust: Trust, at: DateTime<Utc>) {
        let (answer, etag) = match outcome {
            Outcome::NotModified => return,
            Outcome::Failed(reason) => {
                self.results[collection] = Result::Failed(reason);
                return;
            }
            Outcome::Rejected(reason) => {
                self.results[collection] = Result::Rejected(reason);
                return;
            }
            Outcome::Sent { answer, etag } => (answer, etag),
        };
        self.set_aside[collection] = Some(answer.set_aside.clone());
        let held = &mut self.snapshot.collections[collection];
        let built_in = held.source == Source::BuiltIn;
        let suspicion = held.known.suspicion(&answer);
        let accepted = suspicion.is_some() && trust == Trust::Accepting;
        // Other data than the built-in is nothing suspicious, as long as it is any.
        let suspicion = suspicion.filter(|_| !built_in || answer.records.is_empty());
        if let Some(suspicion) = suspicion.filter(|_| !accepted) {
            self.results[collection] = Result::Rejected(suspicion.to_string());
            return;
        }
        if held.etag != etag {
            held.etag = etag;
            self.must_store = true;
        }
        self.duplicates[collection].clone_from(&answer.duplicates);
        self.results[collection] = if built_in || accepted {
            held.source = Source::Upstream;
            held.as_of = at;
            held.known = held.known.begin_anew(&answer, at);
            Result::Baseline
        } else {
            let (merged, changes) = held.known.merge(&answer, at);
            if changes.is_empty() {
                Result::Unchanged
            } else {
                held.known = merged;
                held.as_of = at;
                if collection == Collection::Films {
                    self.announce(&changes.appended, at);
                }
                Result::Changed(changes)
            }
        };
    }

    fn announce(&mut self, appended: &[String], at: DateTime<Utc>) {
        let Snapshot {
            releases,
            collections,
            ..
        } = &mut self.snapshot;
        let appended: HashSet<_> = appended.iter().map(String::as_str).collect();
        let announced: HashSet<_> = releases.iter().map(|one| one.id.as_str()).collect();
        for film in collections.films.known.records.iter().filter(|film| {
            // A film that was pruned and is listed again is not announced again.
            appended.contains(film.id()) && !announced.contains(film.id())
        }) {
            self.released.push(Release {
                sequence: (releases.len() + self.released.len() + 1) as u64,
                id: film.id().to_owned(),
                title: film.title().to_owned(),
                first_seen: at,
            });
        }
        releases.extend(self.released.iter().cloned());
    }
}

#[cfg(test)]
mod tests;
