//! The poller's half of the cache: the lease, and the commit that replaces everything at once.
//!
//! Only one of several writers has the lease; the cache itself refuses a commit by any other.

use std::time::Duration;

use super::{CacheError, CacheUrl, Stored, file, redis};

pub use super::commit::{Commit, Lease};
#[cfg(feature = "write")]
pub use super::history::MOST as MOST_KEPT;
pub use super::history::Past;

/// A writer to one cache.
#[derive(Debug)]
pub struct Writer(Kind);

#[derive(Debug)]
enum Kind {
    File(file::Writer),
    Redis(Box<redis::Writer>),
}

impl Writer {
    /// Creates a writer. It connects at the first call. `holder` is this poller's name; no other
    /// poller that uses the cache may have the same name.
    ///
    /// # Errors
    /// [`CacheError::Refused`] when the URL names nothing to connect to.
    pub fn new(url: &CacheUrl, holder: &str) -> Result<Self, CacheError> {
        Ok(Self(match url {
            CacheUrl::File(directory) => Kind::File(file::Writer::new(directory, holder)),
            CacheUrl::Redis(url) => Kind::Redis(Box::new(redis::Writer::new(url, holder)?)),
        }))
    }

    /// The name of this poller.
    pub fn holder(&self) -> &str {
        match &self.0 {
            Kind::File(writer) => writer.holder(),
            Kind::Redis(writer) => writer.holder(),
        }
    }

    /// Takes the lease if it is free, or renews it for another `time_to_live`. Returns which poller
    /// has it now.
    ///
    /// A file cache's lease is a lock that ends with the process; it needs no renewal.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be reached.
    pub async fn lease(&mut self, time_to_live: Duration) -> Result<Lease, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.lease().await,
            Kind::Redis(writer) => writer.lease(time_to_live).await,
        }
    }

    /// Takes the lease from any other poller, for a poller that knows more. The cache then refuses
    /// the other poller's commit. In a file cache the other poller keeps the lease: a lock stays
    /// with its process.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be reached.
    pub async fn claim(&mut self, time_to_live: Duration) -> Result<Lease, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.lease().await,
            Kind::Redis(writer) => writer.claim(time_to_live).await,
        }
    }

    /// Reads what is stored now.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be reached, or holds something unreadable.
    pub async fn load(&mut self) -> Result<Stored, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.load().await,
            Kind::Redis(writer) => writer.load().await,
        }
    }

    /// Replaces the stored data and notifies the readers: does all of it or nothing.
    ///
    /// # Errors
    /// [`CacheError::LeaseLost`] or [`CacheError::Conflict`] when the cache refuses the commit.
    /// Others when the cache cannot be reached; then it is unknown whether the commit was done, and
    /// the next [`load`](Self::load) shows it.
    pub async fn commit(&mut self, commit: Commit<'_>) -> Result<(), CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.commit(commit).await,
            Kind::Redis(writer) => writer.commit(commit).await,
        }
    }

    /// The generations before the current one that are kept, the newest first.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be reached, or does not let this user read a list.
    pub async fn history(&mut self) -> Result<Vec<Past>, CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.history().await,
            Kind::Redis(writer) => writer.history().await,
        }
    }

    /// Removes everything that the cache holds, the lease included. For the cache of a drill alone
    /// ([`CacheUrl::of_drill`]).
    ///
    /// # Errors
    /// [`CacheError::Refused`] for any other cache; others when it cannot be reached.
    pub async fn erase(&mut self) -> Result<(), CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.erase().await,
            Kind::Redis(writer) => writer.erase().await,
        }
    }

    /// Gives the lease back, so that another poller does not have to wait until it expires.
    ///
    /// # Errors
    /// [`CacheError`] when the cache cannot be reached; the lease then expires by itself.
    pub async fn release(&mut self) -> Result<(), CacheError> {
        match &mut self.0 {
            Kind::File(writer) => writer.release().await,
            Kind::Redis(writer) => writer.release().await,
        }
    }
}
