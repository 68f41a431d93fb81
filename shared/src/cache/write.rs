//! The poller's half of the cache: the lease, and the commit that replaces everything at once.
//!
//! Of several writers one holds the lease; a commit by any other is refused by the cache itself.

use std::time::Duration;

use super::{CacheError, CacheUrl, Stored, file, redis};
use crate::snapshot::Snapshot;
use crate::status::Status;

/// A writer to one cache.
#[derive(Debug)]
pub struct Writer(Kind);

#[derive(Debug)]
enum Kind {
    File(file::Writer),
    Redis(Box<redis::Writer>),
}

/// What a commit puts into the cache.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The generation that is expected to be there; 0 for an empty cache.
    pub expected: u64,
    /// The new snapshot, if there is one.
    pub snapshot: Option<&'a Snapshot>,
    /// The new status.
    pub status: &'a Status,
}

impl Writer {
    /// A writer that will connect when it is first asked something. `holder` names this poller
    /// among all that may ever want the lease; no other may have the same name.
    ///
    /// # Errors
    /// [`CacheError::Refused`] when the URL names nothing that can be connected to.
    pub fn new(url: &CacheUrl, holder: &str) -> Result<Self, CacheError> {
        Ok(Self(match url {
            CacheUrl::File(directory) => Kind::File(file::Writer::new(directory, holder)),
            CacheUrl::Redis(url) => Kind::Redis(Box::new(redis::Writer::new(url, holder)?)),
        }))
    }

    /// The name of this poller among all.
    pub fn holder(&self) -> &str {
        match &self.0 {
            Kind::File(writer) => writer.holder(),
            Kind::Redis(writer) => writer.holder(),
        }
    }

    /// Takes the lease, or renews it for another `time_to_live`. Returns the other holder's name
    /// when somebody else has it.
    ///
    /// A file cache's lease is a lock that ends with the process; it needs no renewal.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be asked.
    pub async fn lease(
        &mut self,
        time_to_live: Duration,
    ) -> Result<Result<(), String>, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.lease().await,
            Kind::Redis(writer) => writer.lease(time_to_live).await,
        }
    }

    /// Takes the lease whoever has it, for a poller that knows more. What the other one is about to
    /// commit will be refused. Returns its name if its lease cannot be taken: a file cache's lock
    /// stays with the process that has it.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be asked.
    pub async fn claim(
        &mut self,
        time_to_live: Duration,
    ) -> Result<Result<(), String>, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.lease().await,
            Kind::Redis(writer) => writer.claim(time_to_live).await.map(Ok),
        }
    }

    /// What is stored now.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be asked, or holds something unreadable.
    pub async fn load(&mut self) -> Result<Stored, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.load().await,
            Kind::Redis(writer) => writer.load().await,
        }
    }

    /// Replaces what is stored and tells the readers, all or nothing.
    ///
    /// # Errors
    /// [`CacheError::LeaseLost`] or [`CacheError::Conflict`] when the cache refuses the commit;
    /// others when it cannot be reached, and then it is unknown whether it was committed: the
    /// next [`load`](Self::load) tells.
    pub async fn commit(&mut self, commit: Commit<'_>) -> Result<(), CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.commit(commit).await,
            Kind::Redis(writer) => writer.commit(commit).await,
        }
    }

    /// Gives the lease back, so that another poller need not wait for it to run out.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be asked; the lease will then run out by itself.
    pub async fn release(&mut self) -> Result<(), CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.release().await,
            Kind::Redis(writer) => writer.release().await,
        }
    }
}
