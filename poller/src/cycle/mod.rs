//! One cycle: take the lease, read the cache, fetch five collections, advance, commit.
//!
//! [`Syncer::sync_once`] does one and reports on it. The daemon decides when to do the next; `lease`
//! decides which poller may do it. `change` holds the commits that need no upstream.

pub mod change;
mod fetch;
mod lease;
pub mod log;
pub mod preview;
pub mod report;
pub mod restore;
mod set_aside;
pub mod shape;
pub mod step;
pub mod verdict;

use anyhow::{Context, Result as Anyhow};
use chrono::{DateTime, SubsecRound, Utc};
use shared::cache::CacheError;
use shared::cache::write::{Commit, Lease, Writer};
use shared::catalogue::PerCollection;
use shared::catalogue::snapshot::{Release, Snapshot};
use shared::catalogue::status::{Confirmation, FORMAT, Status};
use shared::log;
use shared::service::telemetry::events;
use tokio::time::Instant;

pub use fetch::{FETCH_TIME, Heard};
pub use lease::RENEWAL;

use crate::notify::outbox::{self, Deliveries, Next, Outbox};
use crate::upstream::UpstreamClient;
use fetch::fetch;
use lease::Candidate;
use report::Report;
use restore::{knows, restore, without_validators};
use set_aside::Reported;
use step::{Step, Trust};
use verdict::CycleOutcome;

/// Does syncs, and remembers what the last one committed.
#[derive(Debug)]
pub struct Syncer {
    upstream: UpstreamClient,
    cache: Candidate,
    set_aside: Reported,
    /// The ids that each collection's last answer with duplicates listed more than once.
    duplicates: PerCollection<Vec<String>>,
    /// Whether the cache lacks what this poller remembers, and that is logged.
    is_lost: bool,
    deliveries: Deliveries,
    /// The outbox of the last commit.
    outbox: Next,
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
    /// Creates a syncer between an upstream and a cache. It puts releases into the outbox of these
    /// webhooks.
    pub fn new(upstream: UpstreamClient, writer: Writer, deliveries: Deliveries) -> Self {
        Self {
            upstream,
            cache: Candidate::new(writer),
            set_aside: Reported::default(),
            duplicates: PerCollection::default(),
            is_lost: false,
            deliveries,
            outbox: Next::default(),
        }
    }

    /// What has been delivered. Copies share it.
    pub fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// What waits for webhooks since the last commit, and the release log.
    pub fn outgoing(&self) -> (&Next, &[Release]) {
        let memory = self.cache.memory.as_ref();
        let log = memory.map_or(&[][..], |memory| &memory.releases);
        (&self.outbox, log)
    }

    /// Takes or renews the lease. Returns which poller has it or should have it.
    ///
    /// # Errors
    /// When the cache cannot be reached.
    pub async fn lead(&mut self) -> Result<Lease, CacheError> {
        self.cache.lead().await
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
        let last = found.status.as_ref();
        let validators = self.set_aside.validators(&found.snapshot, last);
        let fetched = tokio::select! {
            fetched = Box::pin(fetch(&self.upstream, &validators)) => fetched,
            holder = self.cache.hold() => return Ok(Cycle::Standby { holder }),
        };
        let next_attempt_at = next_attempt(Heard::of(&fetched));
        let finished_at = Utc::now().trunc_subsecs(3);
        let (before, upstream) = (&found.snapshot, self.upstream.base().to_string());
        let mut step = step::advance(before, &upstream, &fetched, trust, finished_at);
        let outcome = CycleOutcome::of(&step.verdicts, !found.is_stored);
        let set_aside = self.set_aside.count(&step.set_aside, last);
        let times = (started_at, finished_at, next_attempt_at);
        let released = [found.unannounced, step.released.clone()].concat();
        let outbox = self.deliveries.next(&found.outbox, &released);
        let status = Status {
            outbox: outbox.outbox.clone(),
            ..status(&step, outcome, &set_aside, last, times)
        };
        let must_store = !found.is_stored || before.lineage.is_empty() || step.snapshot != *before;
        if must_store {
            let lineage = &mut step.snapshot.lineage;
            lineage.sign(self.cache.writer.holder(), step.snapshot.generation);
        }
        let commit = Commit {
            expected: found.generation,
            snapshot: must_store.then_some(&step.snapshot),
            status: &status,
        };
        self.cache.commit(commit).await?;
        self.cache.outbox.clone_from(&status.outbox);
        if outbox.given_up > 0 {
            log!(
                events::WEBHOOKS_GIVEN_UP,
                releases = outbox.given_up,
                "gave up {} old releases that wait for a webhook: too many wait",
                outbox.given_up
            );
        }
        self.outbox = outbox;
        if std::mem::take(&mut self.is_lost) {
            let generation = step.snapshot.generation;
            log!(
                events::CACHE_REBUILT,
                generation,
                "rebuilt the cache from memory, as generation {generation}"
            );
        }
        let drift = PerCollection::from_fn(|one| {
            if !step.verdicts[one].is_new_content() {
                return Vec::new();
            }
            shape::drift(&before.collections[one], &step.snapshot.collections[one])
        });
        let report = Report {
            drift,
            outcome,
            status,
            source: step.snapshot.source(),
            duration: started.elapsed(),
            verdicts: step.verdicts,
            counts: PerCollection::from_fn(|one| step.snapshot.records(one).len()),
            withdrawn: PerCollection::from_fn(|one| step.snapshot.collections[one].withdrawn.len()),
            duplicates: PerCollection::from_fn(|one| {
                let now = std::mem::take(&mut step.duplicates[one]);
                if now.is_empty() {
                    return now;
                }
                let known = std::mem::replace(&mut self.duplicates[one], now.clone());
                now.into_iter().filter(|id| !known.contains(id)).collect()
            }),
            newly_set_aside: self.set_aside.note(&step.set_aside),
            released,
        };
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
        let mut outbox = stored
            .status
            .as_ref()
            .map_or_else(Outbox::new, |it| it.outbox.clone());
        let (mut snapshot, is_stored) = if let Some(memory) = lost {
            outbox::join(&mut outbox, &self.cache.outbox);
            if !std::mem::replace(&mut self.is_lost, true) {
                log!(
                    events::CACHE_LOST,
                    stored_generation = generation,
                    generation = memory.generation,
                    "the cache is lost: it holds generation {generation}, this poller remembers \
                     generation {} and restores it",
                    memory.generation
                );
            }
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
            outbox,
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
    /// What waits for webhooks.
    outbox: Outbox,
}

fn status(
    step: &Step,
    outcome: CycleOutcome,
    set_aside: &PerCollection<usize>,
    last: Option<&Status>,
    (started_at, finished_at, next_attempt_at): (
        DateTime<Utc>,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
    ),
) -> Status {
    let last_success_at = last.and_then(|last| last.last_success_at);
    let failures = last.map_or(0, |last| last.failures_in_a_row);
    let (last_success_at, failures_in_a_row) = if outcome.is_success() {
        (Some(finished_at), 0)
    } else {
        (last_success_at, failures.saturating_add(1))
    };
    Status {
        format: FORMAT,
        generation: step.snapshot.generation,
        started_at,
        finished_at,
        next_attempt_at,
        last_success_at,
        failures_in_a_row,
        outbox: Outbox::new(),
        collections: PerCollection::from_fn(|collection| {
            let failure = step.verdicts[collection].reason().map(str::to_owned);
            let confirmed_at = match failure {
                Some(_) => last.and_then(|last| last.collections[collection].confirmed_at),
                None => Some(finished_at),
            };
            Confirmation {
                confirmed_at,
                failure,
                rejected: matches!(step.verdicts[collection], verdict::Verdict::Rejected(_)),
                set_aside: set_aside[collection],
            }
        }),
    }
}
