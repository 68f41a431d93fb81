//! The pure middle of a cycle: computes the next snapshot from the last one and five outcomes.
//!
//! No I/O and no clock; the caller passes the time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use shared::catalogue::lineage::Lineage;
use shared::catalogue::snapshot::{FORMAT, Held, Release, Snapshot, Source};
use shared::catalogue::{Answer, Changes, Collection, PerCollection, Records, SetAside};

use crate::builtin;

/// What one cycle learnt about one collection.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The stored validator is still valid: nothing changed.
    NotModified,
    /// A whole collection.
    Sent {
        /// The records.
        answer: Answer,
        /// Their validator.
        etag: Option<String>,
    },
    /// There was no answer; the text says why.
    Failed(String),
    /// The answer is not a collection; the text says why.
    Rejected(String),
}

/// The result for one collection in one cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    /// The upstream confirmed it by validator.
    NotModified,
    /// The upstream sent it again, unchanged.
    Unchanged,
    /// The first answer ever, or one that the operator accepted. It replaces the known data and
    /// announces nothing.
    Baseline,
    /// The upstream sent it, and it differs.
    Changed(Changes),
    /// Not confirmed, because there was no answer. The known data stays.
    Failed(String),
    /// Not confirmed, because the answer was not acceptable. The known data stays.
    Rejected(String),
}

impl Result {
    /// The reason why the collection was not confirmed, if it was not.
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
    /// The snapshot after the step. Its generation is one higher only if content changed.
    pub snapshot: Snapshot,
    /// Whether the snapshot differs from the one before, even if only in validators.
    pub must_store: bool,
    /// The result for each collection.
    pub results: PerCollection<Result>,
    /// Ids that the upstream listed more than once.
    pub duplicates: PerCollection<Vec<String>>,
    /// The records that cannot be used, for each collection that the upstream sent.
    pub set_aside: PerCollection<Option<Vec<SetAside>>>,
    /// The films that are new since the baseline, in the order of the release log.
    pub released: Vec<Release>,
}

/// The snapshot that a cache starts with: the built-in catalogue, not committed yet.
///
/// Its generation is one below the current Unix time. So the first commit has a higher generation
/// than any earlier cache, which a running reader may still know.
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

/// What to do with an answer that removes too much (sync rule 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Reject it: the operator should look first.
    #[default]
    Suspicious,
    /// The operator has looked and accepts it: it becomes the new baseline. Records that it lacks
    /// are dropped, and its new records are not announced.
    Accepting,
}

/// Removes the withdrawn records (sync rule 6). Returns the snapshot without them, and their ids;
/// `None` when there are none.
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
        // Any data may replace the built-in data without suspicion, unless it is empty.
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
            // A film that was pruned and is listed again is not announced a second time.
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
