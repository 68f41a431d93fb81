//! The pure middle of a cycle: computes the next snapshot from the last one and five answers.
//!
//! No I/O and no clock; the caller passes the time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use shared::catalogue::lineage::Lineage;
use shared::catalogue::snapshot::{FORMAT, Held, Release, Snapshot, Source};
use shared::catalogue::{Collection, Listing, PerCollection, SetAside};

use crate::builtin;
use crate::cycle::verdict::Verdict;
use crate::upstream::{Fetched, limits};

/// A step from one snapshot to the next.
#[derive(Clone, Debug)]
pub struct Step {
    /// The snapshot after the step. Its generation is one higher only if content changed.
    pub snapshot: Snapshot,
    /// What became of each collection.
    pub verdicts: PerCollection<Verdict>,
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
        collections: PerCollection::from_fn(|collection| {
            let nothing = Held::empty(Source::BuiltIn, at);
            nothing.merge(&catalogue[collection], at).0
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
    let pruned = PerCollection::from_fn(|collection| after.collections[collection].prune(at));
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
    fetched: &PerCollection<Fetched>,
    trust: Trust,
    at: DateTime<Utc>,
) -> Step {
    let mut step = Step {
        snapshot: before.clone(),
        verdicts: PerCollection::default(),
        duplicates: PerCollection::default(),
        set_aside: PerCollection::default(),
        released: Vec::new(),
    };
    upstream.clone_into(&mut step.snapshot.upstream);
    step.verdicts =
        PerCollection::from_fn(|collection| step.take(collection, &fetched[collection], trust, at));
    if step
        .verdicts
        .iter()
        .any(|(_, verdict)| verdict.is_new_content())
    {
        step.snapshot.generation += 1;
        step.snapshot.committed_at = at;
    }
    step
}

impl Step {
    fn take(
        &mut self,
        collection: Collection,
        fetched: &Fetched,
        trust: Trust,
        at: DateTime<Utc>,
    ) -> Verdict {
        let (listing, etag, seen) = match fetched {
            Fetched::NotModified => return Verdict::NotModified,
            Fetched::Sent {
                listing,
                etag,
                seen,
            } => (listing, etag, seen),
            Fetched::Failed(error) if error.is_rejection() => {
                return Verdict::Rejected(error.to_string());
            }
            Fetched::Failed(error) => return Verdict::Failed(error.to_string()),
        };
        self.set_aside[collection] = Some(listing.set_aside.clone());
        let held = &mut self.snapshot.collections[collection];
        let (next, verdict) = match accept(held, listing, trust, at) {
            Ok(accepted) => accepted,
            Err(reason) => return Verdict::Rejected(format!("{reason} ({seen})")),
        };
        *held = Held {
            etag: etag.clone(),
            ..next
        };
        self.duplicates[collection].clone_from(&listing.duplicates);
        if let (Collection::Films, Verdict::Changed(changes)) = (collection, &verdict) {
            self.announce(&changes.appended, at);
        }
        verdict
    }

    fn announce(&mut self, appended: &[String], at: DateTime<Utc>) {
        let Snapshot {
            releases,
            collections,
            ..
        } = &mut self.snapshot;
        let appended: HashSet<_> = appended.iter().map(String::as_str).collect();
        let announced: HashSet<_> = releases.iter().map(|one| one.id.as_str()).collect();
        for film in collections.films.records.iter().filter(|film| {
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

/// The collection after the upstream has sent this listing; or why the mirror rejects the listing.
fn accept(
    held: &Held,
    listing: &Listing,
    trust: Trust,
    at: DateTime<Utc>,
) -> Result<(Held, Verdict), String> {
    let is_built_in = held.source == Source::BuiltIn;
    let suspicion = held.suspicion(listing);
    let is_trusted = match trust {
        // Any data may replace the built-in data without suspicion, unless it is empty.
        Trust::Suspicious => is_built_in && !listing.records.is_empty(),
        Trust::Accepting => true,
    };
    if let Some(suspicion) = suspicion.filter(|_| !is_trusted) {
        return Err(suspicion.to_string());
    }
    let (next, verdict) = if is_built_in || suspicion.is_some() {
        (held.begin_anew(listing, at), Verdict::Baseline)
    } else {
        match held.merge(listing, at) {
            (next, changes) if changes.is_empty() => return Ok((next, Verdict::Unchanged)),
            (next, changes) => (next, Verdict::Changed(changes)),
        }
    };
    // The mirror keeps withdrawn records, so without this check an upstream could let it grow for
    // ever, a little with each sync.
    let json = serde_json::to_vec(&next.records).expect("records are JSON");
    limits::check(&json).map_err(|exceeded| {
        format!(
            "with the withdrawn records that are kept it would be {exceeded}; prune removes those"
        )
    })?;
    Ok((next, verdict))
}

#[cfg(test)]
mod tests;
