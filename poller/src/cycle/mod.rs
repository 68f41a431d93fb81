//! One cycle: take the lease, read the cache, fetch five collections, advance, commit.
//!
//! [`Syncer::sync_once`] does one and reports on it. The daemon decides when to do the next; `lease`
//! decides which poller may do it.

mod fetch;
mod lease;
pub mod report;
pub mod restore;
mod set_aside;
pub mod step;

use std::time::Duration;

use anyhow::{Context, Result as Anyhow, bail};
use chrono::{DateTime, SubsecRound, Utc};
use shared::cache::CacheError;
use shared::cache::write::{Commit, Lease, Writer};
use shared::catalogue::snapshot::{FORMAT, Release, Snapshot};
use shared::catalogue::status::{Confirmation, Status};
use shared::catalogue::{Collection, PerCollection, SetAside};
use tokio::time::Instant;

pub use fetch::{FETCH_TIME, Heard};
pub use lease::RENEWAL;

use crate::cycle::report::{Outcome, Report};
use crate::cycle::restore::{knows, restore, without_validators};
use crate::upstream::Upstream;
use crate::upstream::limits;
use fetch::{fetch, outcome, seen};
use lease::Candidate;
use step::{Step, Trust};

/// Does syncs, and remembers what the last one committed.
#[derive(Debug)]
pub struct Syncer {
    upstream: Upstream,
    cache: Candidate,
    /// The unusable records of the last answer that this poller read; all are reported.
    set_aside: PerCollection<Option<Vec<SetAside>>>,
}

/// The result of a cycle.
#[derive(Debug)]
pub enum Cycle {
    /// The cycle ran; this is its report.
    Finished(Box<Report>),
    /// Another poller holds the lease.
    Standby {
        /// That poller's name.
        holder: String,
    },
}

impl Syncer {
    /// Creates a syncer between an upstream and a cache.
    pub fn new(upstream: Upstream, writer: Writer) -> Self {
        Self {
            upstream,
            cache: Candidate::new(writer),
            set_aside: PerCollection::default(),
        }
    }

    /// Takes or renews the lease. Returns which poller has it or should have it.
    ///
    /// # Errors
    /// When the cache cannot be reached.
    pub async fn lead(&mut self) -> Result<Lease, CacheError> {
        self.cache.lead().await
    }

    /// Removes the withdrawn records and commits. Returns their ids, by collection.
    ///
    /// # Errors
    /// When another poller has the lease, or the cache cannot be read or written.
    pub async fn prune(&mut self) -> Anyhow<PerCollection<Vec<String>>> {
        let lease = self.lead().await.context("cannot take the lease")?;
        if let Lease::HeldBy(holder) = lease {
            bail!("{holder} is syncing this cache");
        }
        let at = Utc::now().trunc_subsecs(3);
        let found = self.look(at).await?;
        let status = found
            .status
            .filter(|_| found.is_stored)
            .context("nothing has been synced yet, so there is nothing to prune")?;
        let Some((mut after, pruned)) = step::prune(&found.snapshot, at) else {
            return Ok(PerCollection::default());
        };
        after
            .lineage
            .sign(self.cache.writer.holder(), after.generation);
        let status = Status {
            generation: after.generation,
            ..status
        };
        let commit = Commit {
            expected: found.snapshot.generation,
            snapshot: Some(&after),
            status: &status,
        };
        self.cache.commit(commit).await?;
        self.cache.memory = Some(after);
        Ok(pruned)
    }

    /// Gives the lease back, so that a standby can take over at once.
    pub async fn release(&mut self) {
        if let Err(error) = self.cache.writer.release().await {
            tracing::debug!(%error, "lease not given back; it will run out");
        }
    }

    /// Does one sync. `next_attempt` computes when the next one is due, after the upstream was
    /// asked.
    ///
    /// # Errors
    /// When the cache cannot be read or written. A failure of the upstream is not an error but part
    /// of the report.
    pub async fn sync_once(
        &mut self,
        trust: Trust,
        next_attempt: impl FnOnce(Heard) -> Option<DateTime<Utc>>,
    ) -> Anyhow<Cycle> {
        let (started, started_at) = (Instant::now(), Utc::now().trunc_subsecs(3));
        let lease = self.lead().await.context("cannot take the lease")?;
        if let Lease::HeldBy(holder) = lease {
            return Ok(Cycle::Standby { holder });
        }
        let found = self.look(started_at).await?;
        let validators = self.validators(&found);
        let (fetched, heard) = tokio::select! {
            fetched = Box::pin(fetch(&self.upstream, &validators)) => fetched,
            holder = self.cache.hold() => return Ok(Cycle::Standby { holder }),
        };
        let next_attempt_at = next_attempt(heard);
        let finished_at = Utc::now().trunc_subsecs(3);
        let upstream = self.upstream.base().to_string();
        let before = &found.snapshot;
        let seen = PerCollection::from_fn(|collection| seen(&fetched[collection]));
        let outcomes = fetched.map(outcome);
        let mut step = limits::advance_within(before, &upstream, outcomes, trust, finished_at);
        for collection in Collection::ALL {
            if let (step::Result::Rejected(reason), Some(seen)) =
                (&mut step.results[collection], &seen[collection])
            {
                *reason = format!("{reason} ({seen})");
            }
        }
        let set_aside = self.count_set_aside(&step, found.status.as_ref());
        let status = status(
            &step,
            &set_aside,
            found.status.as_ref(),
            started_at,
            finished_at,
            next_attempt_at,
        );
        let must_store = step.must_store || !found.is_stored || before.lineage.is_empty();
        if must_store {
            let Snapshot {
                lineage,
                generation,
                ..
            } = &mut step.snapshot;
            lineage.sign(self.cache.writer.holder(), *generation);
        }
        let commit = Commit {
            expected: found.generation,
            snapshot: must_store.then_some(&step.snapshot),
            status: &status,
        };
        self.cache.commit(commit).await?;
        step.released.splice(0..0, found.unannounced);
        let mut report = report(&step, started.elapsed(), next_attempt_at);
        report.set_aside = set_aside;
        report.newly_set_aside = self.note_set_aside(std::mem::take(&mut step.set_aside));
        if !found.is_stored && report.outcome == Outcome::Unchanged {
            // The upstream has nothing new, but the cache has to be restored.
            report.outcome = Outcome::Committed;
        }
        self.cache.memory = Some(step.snapshot);
        Ok(Cycle::Finished(Box::new(report)))
    }

    /// Finds the snapshot to continue from: the stored one; or what this poller remembers, when the
    /// cache has lost that (sync rule 12); or the built-in catalogue.
    async fn look(&mut self, at: DateTime<Utc>) -> Anyhow<Found> {
        let stored = self
            .cache
            .writer
            .load()
            .await
            .context("cannot read the cache")?;
        let stored_snapshot = stored.snapshot.as_ref();
        let generation = stored_snapshot.map_or(0, |snapshot| snapshot.generation);
        let mut unannounced = Vec::new();
        let lost = self.cache.memory.as_ref();
        let lost = lost.filter(|memory| !knows(stored_snapshot, Some(memory)));
        let (mut snapshot, is_stored) = if let Some(memory) = lost {
            tracing::warn!(
                stored_generation = generation,
                generation = memory.generation,
                "cache lost, restoring it from memory"
            );
            let restored = restore(memory, stored_snapshot, at);
            unannounced = restored.unannounced;
            (restored.snapshot, false)
        } else if let Some(stored) = stored.snapshot {
            self.cache.memory = Some(stored.clone());
            (stored, true)
        } else {
            // Remember it only after the commit, or the cache would seem to have lost it.
            let built_in = step::built_in(&self.upstream.base().to_string(), at);
            (built_in, false)
        };
        if snapshot.upstream != self.upstream.base().to_string() {
            snapshot = without_validators(snapshot);
        }
        Ok(Found {
            snapshot,
            is_stored,
            generation,
            status: stored.status,
            unannounced,
        })
    }
}

/// What a cycle starts from.
struct Found {
    /// The snapshot to continue from.
    snapshot: Snapshot,
    /// Whether the cache stores that snapshot.
    is_stored: bool,
    /// The generation that the cache stores; 0 for an empty cache.
    generation: u64,
    /// The stored status.
    status: Option<Status>,
    /// The releases to announce after the commit.
    unannounced: Vec<Release>,
}

fn status(
    step: &Step,
    set_aside: &PerCollection<usize>,
    last: Option<&Status>,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    next_attempt_at: Option<DateTime<Utc>>,
) -> Status {
    let success = Outcome::of(&step.results).is_success();
    let confirmed_before =
        |collection| last.and_then(|last| last.collections[collection].confirmed_at);
    Status {
        format: FORMAT,
        generation: step.snapshot.generation,
        started_at,
        finished_at,
        next_attempt_at,
        last_success_at: if success {
            Some(finished_at)
        } else {
            last.and_then(|last| last.last_success_at)
        },
        failures_in_a_row: if success {
            0
        } else {
            last.map_or(0, |last| last.failures_in_a_row)
                .saturating_add(1)
        },
        collections: PerCollection::from_fn(|collection| {
            let failure = step.results[collection].reason().map(str::to_owned);
            let confirmed_at = if failure.is_some() {
                confirmed_before(collection)
            } else {
                Some(finished_at)
            };
            Confirmation {
                confirmed_at,
                failure,
                set_aside: set_aside[collection],
            }
        }),
    }
}

fn report(step: &Step, duration: Duration, next_attempt_at: Option<DateTime<Utc>>) -> Report {
    Report {
        outcome: Outcome::of(&step.results),
        generation: step.snapshot.generation,
        source: step.snapshot.source(),
        duration,
        next_attempt_at,
        results: step.results.clone(),
        counts: PerCollection::from_fn(|collection| step.snapshot.records(collection).len()),
        duplicates: step.duplicates.clone(),
        set_aside: PerCollection::default(),
        newly_set_aside: PerCollection::default(),
        released: step.released.clone(),
    }
}
