//! Which poller may sync: takes the lease, keeps it, and lets a standby remember the leader's
//! commits (sync rules 12 and 13).

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use shared::cache::write::{Commit, Lease, Writer};
use shared::cache::{CacheError, Stored};
use shared::catalogue::Collection;
use shared::catalogue::snapshot::Snapshot;
use shared::log;
use shared::service::telemetry::{Lasting, clock, events};
use tokio::time::{Instant, sleep};

use crate::cycle::restore::knows;
use crate::notify::outbox::Outbox;

/// How long the lease lasts without renewal, and so how long a standby waits for a dead leader.
const LEASE_TIME: Duration = Duration::from_secs(15);

/// How often the poller renews the lease, during and between syncs; one renewal may fail.
pub const RENEWAL: Duration = Duration::from_secs(LEASE_TIME.as_secs() / 3);

/// How long a poller that was away leaves the restoring of a lost cache to a leader that it has not
/// seen; that leader renews its lease in this time.
const COURTESY: Duration = Duration::from_secs(RENEWAL.as_secs() + 1);

/// How the log names that leader.
const UNSEEN: &str = "another poller that may know more";

/// One poller's place among those that share a cache.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) writer: Writer,
    /// What this poller last committed or found; it survives the loss of the cache.
    pub(super) memory: Option<Snapshot>,
    /// The outbox that belongs to it.
    pub(super) outbox: Outbox,
    /// The last other poller that had the lease while the cache was complete, and until when this
    /// poller leaves the restoring of a lost cache to it.
    leader: Option<(String, Instant)>,
    /// When the cache last named the poller with the lease.
    named: Option<Instant>,
    role: Role,
    standby: Lasting,
}

/// What the log says about this poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Unknown,
    Leads,
    StandsBy,
}

impl Candidate {
    pub(super) const fn new(writer: Writer) -> Self {
        Self {
            writer,
            memory: None,
            outbox: Outbox::new(),
            leader: None,
            named: None,
            role: Role::Unknown,
            standby: Lasting::HOURLY,
        }
    }

    /// Takes or renews the lease. Returns which poller has it or should have it.
    ///
    /// A lost cache has lost the lease too. The last leader knows most, so for the time of one
    /// lease a standby leaves the restoring to it. A poller that was away for so long may have been
    /// replaced, so it waits too. But if a new poller has taken the lease and started anew, a poller
    /// that remembers the lost data takes the lease from it.
    ///
    /// # Errors
    /// When the cache cannot be reached.
    pub(super) async fn lead(&mut self) -> Result<Lease, CacheError> {
        if self.named.is_some_and(|at| at.elapsed() > LEASE_TIME) {
            self.suspect();
        }
        let lease = self.compete().await?;
        self.learn(&lease);
        Ok(lease)
    }

    async fn compete(&mut self) -> Result<Lease, CacheError> {
        let recent = self.leader.clone();
        let recent = recent.filter(|(_, until)| Instant::now() < *until);
        let leader = recent.map(|(leader, _)| leader);
        if let Some(leader) = &leader
            && is_lost(&self.writer.load().await, self.memory.as_ref())
        {
            return Ok(Lease::HeldBy(leader.clone()));
        }
        let Lease::HeldBy(holder) = self.writer.lease(LEASE_TIME).await? else {
            return self.keep(leader).await;
        };
        let stored = self.writer.load().await;
        if is_lost(&stored, self.memory.as_ref()) {
            if leader.as_ref() != Some(&holder) {
                return self.claim(holder).await;
            }
        } else if let Ok(stored) = stored {
            self.follow(&holder, stored);
        }
        Ok(Lease::HeldBy(holder))
    }

    /// Takes the lease from a poller that has started anew.
    async fn claim(&mut self, holder: String) -> Result<Lease, CacheError> {
        let lease = self.writer.claim(LEASE_TIME).await?;
        if lease == Lease::Held {
            let own = self.writer.holder();
            log!(
                events::LEASE_TAKEN,
                holder = own,
                from = holder,
                "took the lease as {own}, from {holder}, which does not know what was lost"
            );
            self.role = Role::Leads;
            self.leader = None;
        }
        Ok(lease)
    }

    /// Keeps the lease that was free, unless it was free because the cache was just lost.
    async fn keep(&mut self, leader: Option<String>) -> Result<Lease, CacheError> {
        if let Some(leader) = leader
            && is_lost(&self.writer.load().await, self.memory.as_ref())
        {
            self.writer.release().await?;
            return Ok(Lease::HeldBy(leader));
        }
        self.leader = None;
        Ok(Lease::Held)
    }

    /// Remembers the leader's commit, so that this poller can restore it if both the leader and the
    /// cache are lost.
    fn follow(&mut self, leader: &str, stored: Stored) {
        self.leader = Some((leader.to_owned(), Instant::now() + LEASE_TIME));
        if let Some(status) = stored.status {
            self.outbox = status.outbox;
        }
        let remembered = self.memory.as_ref().map(|held| held.generation);
        if let Some(snapshot) = stored.snapshot
            && Some(snapshot.generation) != remembered
        {
            let generation = snapshot.generation;
            log!(
                events::SNAPSHOT_REMEMBERED,
                generation,
                films.count = snapshot.records(Collection::Films).len(),
                "remembered generation {generation}, which {leader} committed"
            );
            self.memory = Some(snapshot);
        }
    }

    /// Notes that another poller may lead, and may know more than this one.
    fn suspect(&mut self) {
        self.leader = Some((UNSEEN.to_owned(), Instant::now() + COURTESY));
    }

    /// Commits, if this poller still has the lease.
    ///
    /// # Errors
    /// When the cache refuses the commit or cannot be reached.
    pub(super) async fn commit(&mut self, commit: Commit<'_>) -> anyhow::Result<()> {
        let outcome = self.writer.commit(commit).await;
        if let Err(error @ CacheError::LeaseLost) = &outcome {
            self.role = Role::Unknown;
            self.suspect();
            log!(
                events::LEASE_FENCED,
                reason = %error,
                "the cache refused the commit: {error}; the next sync takes it again or stands by"
            );
        }
        outcome.context("cannot commit")
    }

    /// Logs what a lease changes about this poller's role.
    fn learn(&mut self, lease: &Lease) {
        self.named = Some(Instant::now());
        let now = Utc::now();
        let Lease::HeldBy(holder) = lease else {
            self.standby = Lasting::HOURLY;
            if std::mem::replace(&mut self.role, Role::Leads) != Role::Leads {
                let holder = self.writer.holder();
                log!(
                    events::LEASE_TAKEN,
                    holder,
                    "took the lease as {holder}: this poller syncs"
                );
            }
            return;
        };
        if std::mem::replace(&mut self.role, Role::StandsBy) == Role::Leads {
            log!(
                events::LEASE_LOST,
                holder,
                "lost the lease to {holder}, which syncs now"
            );
        }
        if let Some((_, since)) = self.standby.note(true, now, now) {
            log!(
                events::STANDBY,
                holder,
                since = since.to_rfc3339(),
                "standing by since {}: {holder} syncs",
                clock(since)
            );
        }
    }

    /// Renews the lease until another poller has it. Returns the name of that poller.
    pub(super) async fn hold(&mut self) -> String {
        loop {
            sleep(RENEWAL).await;
            // A cache that fails now may be back for the commit, which checks the lease itself.
            let lease = self.writer.lease(LEASE_TIME).await;
            match lease {
                Ok(Lease::Held) => self.named = Some(Instant::now()),
                Ok(Lease::HeldBy(holder)) => {
                    self.suspect();
                    self.learn(&Lease::HeldBy(holder.clone()));
                    return holder;
                }
                Err(_) => {}
            }
        }
    }
}

/// Whether it is certain that the cache lacks what a poller remembers.
fn is_lost(found: &Result<Stored, CacheError>, memory: Option<&Snapshot>) -> bool {
    let knows_less = |stored: &Stored| !knows(stored.snapshot.as_ref(), memory);
    found.as_ref().is_ok_and(knows_less)
}
