//! The readers' half of the cache: read what is stored, and wait until it is time to read again.
//!
//! Never writes, whatever the cache. On Redis it needs `GET`, `SUBSCRIBE` and `PING`.

use super::{CacheError, CacheUrl, file, redis};
use crate::catalogue::snapshot::Snapshot;
use crate::catalogue::status::Status;

/// A reader of one cache.
#[derive(Debug)]
pub struct Reader(Kind);

#[derive(Debug)]
enum Kind {
    File(file::Reader),
    Redis(Box<redis::Reader>),
}

impl Reader {
    /// Creates a reader. It connects at the first call.
    ///
    /// # Errors
    /// [`CacheError::Refused`] when the URL names nothing to connect to.
    pub fn new(url: &CacheUrl) -> Result<Self, CacheError> {
        Ok(Self(match url {
            CacheUrl::File(directory) => Kind::File(file::Reader::new(directory)),
            CacheUrl::Redis(url) => Kind::Redis(Box::new(redis::Reader::new(url)?)),
        }))
    }

    /// The stored status, if there is one.
    ///
    /// # Errors
    /// Any [`CacheError`] but those of a commit.
    pub async fn status(&mut self) -> Result<Option<Status>, CacheError> {
        match &mut self.0 {
            Kind::File(reader) => reader.status().await,
            Kind::Redis(reader) => reader.status().await,
        }
    }

    /// The stored snapshot, if there is one.
    ///
    /// # Errors
    /// Any [`CacheError`] but those of a commit.
    pub async fn snapshot(&mut self) -> Result<Option<Snapshot>, CacheError> {
        match &mut self.0 {
            Kind::File(reader) => reader.snapshot().await,
            Kind::Redis(reader) => reader.snapshot().await,
        }
    }

    /// Resolves when it is time to read again: after a notice, after a notice may have been lost,
    /// and every few seconds anyway.
    pub async fn look_due(&mut self) {
        match &mut self.0 {
            Kind::File(reader) => reader.look_due().await,
            Kind::Redis(reader) => reader.look_due().await,
        }
    }
}
