//! One cycle: take the lease, look at what is stored, fetch five collections, advance, commit.
//!
//! [`Syncer::sync_once`] does one and reports on it. When to do the next is the daemon's affair.

use std::time::Duration;

use anyhow::{Context, Result as Anyhow, bail};
use chrono::{DateTime, SubsecRound, Utc};
use shared::cache::write::{Commit, Writer};
use shared::cache::{CacheError, Stored};
use shared::catalogue::{Collection, PerCollection};
use shared::snapshot::{FORMAT, Snapshot};
use shared::status::{Confirmation, Status};
use tokio::time::{Instant, sleep, timeout};

use crate::advance::{self, Step, Trust};
use crate::limits;
use crate::report::{Outcome, Report};
use crate::upstream::{FetchError, Fetched, Upstream};

/// How long the lease is held without renewal, and so how long a standby waits for a dead holder.
pub const LEASE_TIME: Duration = Duration::from_secs(15);

/// How often the lease is renewed, during a sync and between syncs, so that one renewal may fail.
pub const RENEWAL: Duration = Duration::from_secs(LEASE_TIME.as_secs() / 3);

/// How long fetching may take with everything that is tried again.
const FETCH_TIME: Duration = Duration::from_secs(30);

/// Does syncs, and remembers what the last one committed.
#[derive(Debug)]
pub struct Syncer {
    upstream: Upstream,
    writer: Writer,
    /// What this poller last committed or found; outlives the loss of the cache.
    memory: Option<Snapshot>,
    /// The poller that was last seen to hold the lease over a cache that was whole, and when.
    leader: Option<(String, Instant)>,
}

/// What a cycle came to.
#[derive(Debug)]
pub enum Cycle {
    /// It ran; here is what it did.
    Finished(Box<Report>),
    /// Another poller holds the lease.
    Standby {
        /// That poller's name.
        holder: String,
    },
}

impl Syncer {
    /// A syncer between an upstream and a cache.
    pub const fn new(upstream: Upstream, writer: Writer) -> Self {
        Self {
            upstream,
            writer,
            memory: None,
            leader: None,
        }
    }

    /// The snapshot that this poller last saw or committed.
    pub const fn memory(&self) -> Option<&Snapshot> {
        self.memory.as_ref()
    }

    /// Takes or renews the lease. Returns whether it is ours.
    ///
    /// # Errors
    /// When the cache cannot be asked.
    pub async fn renew(&mut self) -> Result<bool, CacheError> {
        Ok(self.lead().await?.is_ok())
    }

    /// Takes or renews the lease. Returns the other poller's name when that one has it, or is to
    /// have it.
    ///
    /// A cache that is lost has lost the lease as well. Whoever held it knows most, so a poller
    /// that only stood by leaves the restoring to that one for as long as a lease lasts.
    async fn lead(&mut self) -> Result<Result<(), String>, CacheError> {
        let recent = |(_, seen): &&(String, Instant)| seen.elapsed() < LEASE_TIME;
        let leader = self.leader.as_ref().filter(recent);
        let leader = leader.map(|(leader, _)| leader.clone());
        if let Some(leader) = &leader
            && is_lost(&self.writer.load().await, self.memory.as_ref())
        {
            return Ok(Err(leader.clone()));
        }
        let taken = self.writer.lease(LEASE_TIME).await?;
        match (&taken, leader) {
            // It was lost just now, and that is why the lease was free.
            (Ok(()), Some(leader)) if is_lost(&self.writer.load().await, self.memory.as_ref()) => {
                self.writer.release().await?;
                return Ok(Err(leader));
            }
            (Ok(()), _) => self.leader = None,
            (Err(holder), _) => self.follow(holder).await,
        }
        Ok(taken)
    }

    /// Remembers what the leader has committed, so that it can be restored should both the leader
    /// and the cache be lost.
    async fn follow(&mut self, leader: &str) {
        let stored = match self.writer.load().await {
            Ok(stored) if !is_older(&stored, self.memory.as_ref()) => stored,
            // Whoever leads now cannot know more than this poller does; or nobody can tell.
            _ => return,
        };
        self.leader = Some((leader.to_owned(), Instant::now()));
        let remembered = self.memory.as_ref().map(|held| held.generation);
        if let Some(snapshot) = stored.snapshot
            && Some(snapshot.generation) > remembered
        {
            tracing::debug!(
                generation = snapshot.generation,
                films.count = snapshot.records(Collection::Films).len(),
                "remembered what another poller committed"
            );
            self.memory = Some(snapshot);
        }
    }

    /// Removes the withdrawn records and commits. Returns their ids, by collection.
    ///
    /// # Errors
    /// When another poller has the lease, or the cache cannot be read or written.
    pub async fn prune(&mut self) -> Anyhow<PerCollection<Vec<String>>> {
        let lease = self.lead().await.context("cannot take the lease")?;
        if let Err(holder) = lease {
            bail!("{holder} is syncing this cache");
        }
        let at = Utc::now().trunc_subsecs(3);
        let (before, expected, status) = self.look(at).await?;
        let status = status.context("nothing has been synced yet, so there is nothing to prune")?;
        let Some((after, pruned)) = advance::prune(&before, at) else {
            return Ok(PerCollection::default());
        };
        let status = Status {
            generation: after.generation,
            ..status
        };
        let commit = Commit {
            expected,
            snapshot: Some(&after),
            status: &status,
        };
        self.writer.commit(commit).await.context("cannot commit")?;
        self.memory = Some(after);
        Ok(pruned)
    }

    /// Gives the lease back, so that a standby can take over at once.
    pub async fn release(&mut self) {
        if let Err(error) = self.writer.release().await {
            tracing::debug!(%error, "lease not given back; it will run out");
        }
    }

    /// Does one sync. `next_attempt` says when the next one is due, once this one has heard from
    /// the upstream.
    ///
    /// # Errors
    /// When the cache cannot be read or written. What the upstream does wrong is no error but
    /// part of the report.
    pub async fn sync_once(
        &mut self,
        trust: Trust,
        next_attempt: impl FnOnce(Heard) -> Option<DateTime<Utc>>,
    ) -> Anyhow<Cycle> {
        let (started, started_at) = (Instant::now(), Utc::now().trunc_subsecs(3));
        let lease = self.lead().await.context("cannot take the lease")?;
        if let Err(holder) = lease {
            return Ok(Cycle::Standby { holder });
        }
        let (before, stored_generation, last_status) = self.look(started_at).await?;
        let (outcomes, heard) = tokio::select! {
            fetched = fetch(&self.upstream, &before) => fetched,
            holder = hold(&mut self.writer) => return Ok(Cycle::Standby { holder }),
        };
        let next_attempt_at = next_attempt(heard);
        let finished_at = Utc::now().trunc_subsecs(3);
        let upstream = self.upstream.base().to_string();
        let step = limits::advance_within(&before, &upstream, outcomes, trust, finished_at);
        let status = status(
            &step,
            last_status.as_ref(),
            started_at,
            finished_at,
            next_attempt_at,
        );
        let must_store = step.must_store || stored_generation != before.generation;
        let commit = Commit {
            expected: stored_generation,
            snapshot: must_store.then_some(&step.snapshot),
            status: &status,
        };
        self.writer.commit(commit).await.context("cannot commit")?;
        let report = report(&step, started.elapsed(), next_attempt_at);
        self.memory = Some(step.snapshot);
        Ok(Cycle::Finished(Box::new(report)))
    }

    /// Finds the snapshot to go on from: the stored one, or what this poller still holds when the
    /// cache lost it or fell back to an older one (sync rule 12), or the built-in catalogue.
    /// Returns it with the generation that is really stored.
    async fn look(&mut self, at: DateTime<Utc>) -> Anyhow<(Snapshot, u64, Option<Status>)> {
        let stored = self.writer.load().await.context("cannot read the cache")?;
        let generation = stored
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.generation);
        // What is not committed yet must not pass for something that the cache has lost.
        let mut before = match (stored.snapshot, &self.memory) {
            (_, Some(held)) if held.generation > generation => {
                tracing::warn!(
                    stored_generation = generation,
                    generation = held.generation,
                    "cache lost, restoring it from memory"
                );
                restored(held, at)
            }
            (Some(stored), _) => {
                self.memory = Some(stored.clone());
                stored
            }
            (None, _) => advance::built_in(&self.upstream.base().to_string(), at),
        };
        if before.upstream != self.upstream.base().to_string() {
            before = without_validators(before);
        }
        Ok((before, generation, stored.status))
    }
}

/// Whether the cache certainly holds less than a poller has seen in it.
fn is_lost(found: &Result<Stored, CacheError>, memory: Option<&Snapshot>) -> bool {
    let is_less = |stored: &Stored| stored.snapshot.is_none() || is_older(stored, memory);
    found.as_ref().is_ok_and(is_less)
}

/// Whether what is stored is older than what a poller remembers.
fn is_older(stored: &Stored, memory: Option<&Snapshot>) -> bool {
    let generation = |snapshot: &Snapshot| snapshot.generation;
    stored.snapshot.as_ref().map(generation) < memory.map(generation)
}

/// Renews the lease until another poller has it; returns that one's name.
async fn hold(writer: &mut Writer) -> String {
    loop {
        sleep(RENEWAL).await;
        // A cache that cannot be asked may be back for the commit, which looks for itself.
        if let Ok(Err(holder)) = writer.lease(LEASE_TIME).await {
            return holder;
        }
    }
}

async fn fetch(upstream: &Upstream, before: &Snapshot) -> (PerCollection<advance::Outcome>, Heard) {
    let (films, people, locations, species, vehicles) = tokio::join!(
        fetch_one(upstream, before, Collection::Films),
        fetch_one(upstream, before, Collection::People),
        fetch_one(upstream, before, Collection::Locations),
        fetch_one(upstream, before, Collection::Species),
        fetch_one(upstream, before, Collection::Vehicles),
    );
    let fetched = PerCollection {
        films,
        people,
        locations,
        species,
        vehicles,
    };
    let heard = Heard {
        answered: fetched
            .iter()
            .any(|(_, outcome)| !matches!(outcome, Err(error) if error.is_silence())),
        asked_for: fetched
            .iter()
            .filter_map(|(_, outcome)| outcome.as_ref().err()?.asked_for())
            .max(),
    };
    (fetched.map(outcome), heard)
}

async fn fetch_one(
    upstream: &Upstream,
    before: &Snapshot,
    collection: Collection,
) -> Result<Fetched, FetchError> {
    let etag = before.collections[collection].etag.as_deref();
    timeout(FETCH_TIME, upstream.fetch(collection, etag))
        .await
        .unwrap_or(Err(FetchError::TimedOut))
}

/// What a cycle's requests tell of the upstream as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether it answered any of them, be it with something unacceptable.
    pub answered: bool,
    /// The longest wait that it asked for.
    pub asked_for: Option<Duration>,
}

fn outcome(fetched: Result<Fetched, FetchError>) -> advance::Outcome {
    match fetched {
        Ok(Fetched::NotModified) => advance::Outcome::NotModified,
        Ok(Fetched::Sent { answer, etag }) => advance::Outcome::Sent { answer, etag },
        Err(error @ (FetchError::Rejected(_) | FetchError::TooLarge(_))) => {
            advance::Outcome::Rejected(error.to_string())
        }
        Err(error) => advance::Outcome::Failed(error.to_string()),
    }
}

/// What is left of a lost cache, under a generation of its own.
///
/// Another poller may have committed more than this one remembers. Readers that saw it, and that
/// poller, must not take what is committed from here on for the older.
fn restored(held: &Snapshot, at: DateTime<Utc>) -> Snapshot {
    let mut snapshot = without_validators(held.clone());
    let now = u64::try_from(at.timestamp()).unwrap_or_default();
    snapshot.generation = held.generation.max(now);
    snapshot
}

fn without_validators(mut snapshot: Snapshot) -> Snapshot {
    for collection in Collection::ALL {
        snapshot.collections[collection].etag = None;
    }
    snapshot
}

fn status(
    step: &Step,
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
        released: step.released.clone(),
    }
}
