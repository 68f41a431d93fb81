//! Which poller may sync: takes the lease, keeps it, and lets a standby remember the leader's
//! commits (sync rules 12 and 13).

use std::time::Duration;

use shared::cache::write::Writer;
use shared::cache::{CacheError, Stored};
use shared::catalogue::Collection;
use shared::catalogue::snapshot::Snapshot;
use tokio::time::{Instant, sleep};

use super::Syncer;
use crate::cycle::restore::knows;

/// How long the lease lasts without renewal, and so how long a standby waits for a dead leader.
pub const LEASE_TIME: Duration = Duration::from_secs(15);

/// How often the poller renews the lease, during and between syncs; one renewal may fail.
pub const RENEWAL: Duration = Duration::from_secs(LEASE_TIME.as_secs() / 3);

impl Syncer {
    /// Takes or renews the lease. Returns whether this poller has it.
    ///
    /// # Errors
    /// When the cache cannot be reached.
    pub async fn renew(&mut self) -> Result<bool, CacheError> {
        Ok(self.lead().await?.is_ok())
    }

    /// Takes or renews the lease. Returns the other poller's name when that poller has it or should
    /// have it.
    ///
    /// A lost cache has lost the lease too. The last leader knows most, so for the time of one
    /// lease a standby leaves the restoring to it. But if a new poller has taken the lease and
    /// started anew, a poller that remembers the lost data takes the lease from it.
    pub(super) async fn lead(&mut self) -> Result<Result<(), String>, CacheError> {
        let recent = |(_, seen): &&(String, Instant)| seen.elapsed() < LEASE_TIME;
        let leader = self.leader.as_ref().filter(recent);
        let leader = leader.map(|(leader, _)| leader.clone());
        if let Some(leader) = &leader
            && is_lost(&self.writer.load().await, self.memory.as_ref())
        {
            return Ok(Err(leader.clone()));
        }
        let Err(holder) = self.writer.lease(LEASE_TIME).await? else {
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
        Ok(Err(holder))
    }

    /// Takes the lease from a poller that has started anew.
    async fn claim(&mut self, holder: String) -> Result<Result<(), String>, CacheError> {
        let taken = self.writer.claim(LEASE_TIME).await?;
        if taken.is_ok() {
            tracing::warn!(
                holder,
                "took the lease, its holder does not know what was lost"
            );
            self.leader = None;
        }
        Ok(taken)
    }

    /// Keeps the lease that was free, unless it was free because the cache was just lost.
    async fn keep(&mut self, leader: Option<String>) -> Result<Result<(), String>, CacheError> {
        if let Some(leader) = leader
            && is_lost(&self.writer.load().await, self.memory.as_ref())
        {
            self.writer.release().await?;
            return Ok(Err(leader));
        }
        self.leader = None;
        Ok(Ok(()))
    }

    /// Remembers the leader's commit, so that this poller can restore it if both the leader and the
    /// cache are lost.
    fn follow(&mut self, leader: &str, stored: Stored) {
        self.leader = Some((leader.to_owned(), Instant::now()));
        let remembered = self.memory.as_ref().map(|held| held.generation);
        if let Some(snapshot) = stored.snapshot
            && Some(snapshot.generation) != remembered
        {
            tracing::debug!(
                generation = snapshot.generation,
                films.count = snapshot.records(Collection::Films).len(),
                "remembered what another poller committed"
            );
            self.memory = Some(snapshot);
        }
    }
}

/// Whether it is certain that the cache lacks what a poller remembers.
fn is_lost(found: &Result<Stored, CacheError>, memory: Option<&Snapshot>) -> bool {
    let is_less = |stored: &Stored| !knows(stored.snapshot.as_ref(), memory);
    found.as_ref().is_ok_and(is_less)
}

/// Renews the lease until another poller has it. Returns the name of that poller.
pub(super) async fn hold(writer: &mut Writer) -> String {
    loop {
        sleep(RENEWAL).await;
        // A cache that fails now may be back for the commit, which checks the lease itself.
        if let Ok(Err(holder)) = writer.lease(LEASE_TIME).await {
            return holder;
        }
    }
}
