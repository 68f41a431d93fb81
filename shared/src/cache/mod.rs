//! The cache: where snapshot and status rest between poller and readers.
//!
//! | module | owns |
//! |---|---|
//! | [`read`] | the half that readers have: look, and wait for something new |
//! | [`mod@write`] | the half that only the poller has: the lease and the commit; the feature `write` |
//! | `redis`, `file` | the two kinds of cache, each with both halves |
//! | `disk` | what the file cache asks of its file system |
//! | `url` | what `CACHE_URL` may say |
//!
//! A commit replaces everything at once; whoever looks sees the old snapshot or the new one.
//! Every operation is bounded in time.

mod disk;
mod file;
pub mod read;
mod redis;
mod url;
#[cfg(feature = "write")]
pub mod write;
#[cfg(not(feature = "write"))]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "only builds with the feature write"
)]
mod write;

use crate::snapshot::{MAX_BYTES, Snapshot, Unreadable};
use crate::status::Status;

pub use self::url::{CacheUrl, RedisUrl};

/// What rests in a cache.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The newest snapshot, unless the cache is empty.
    pub snapshot: Option<Snapshot>,
    /// The newest status, unless there was no sync yet.
    pub status: Option<Status>,
}

/// Why the cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Nobody answers there, or the connection broke.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// An answer that says no: wrong password, missing permission, read-only replica, no memory.
    #[error("refused: {0}")]
    Refused(String),
    /// A stored document that cannot be read.
    #[error("stored {document} is unreadable: {reason}")]
    Unreadable {
        /// `snapshot` or `status`.
        document: &'static str,
        /// Why.
        reason: Unreadable,
    },
    /// The lease went to another poller, or ran out, before the commit.
    #[error("the lease was lost before the commit")]
    LeaseLost,
    /// Something else was committed in the meantime.
    #[error("expected generation {expected}, found {found}")]
    Conflict {
        /// The generation that the commit builds on; 0 for an empty cache.
        expected: u64,
        /// The generation that is stored.
        found: u64,
    },
}

impl CacheError {
    /// Whether the cache answered, but holds something that this build cannot read.
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}

/// A snapshot as it is stored. Refuses one that no reader would take: it would stay in the way of
/// everybody, the poller included.
fn snapshot_to(snapshot: &Snapshot) -> Result<String, CacheError> {
    let json = snapshot.to_json();
    if json.len() > MAX_BYTES {
        let reason = format!("the snapshot would be larger than {MAX_BYTES} bytes");
        return Err(CacheError::Refused(reason));
    }
    Ok(json)
}

fn snapshot_from(json: &[u8]) -> Result<Snapshot, CacheError> {
    Snapshot::from_json(json).map_err(|reason| CacheError::Unreadable {
        document: "snapshot",
        reason,
    })
}

fn status_from(json: &[u8]) -> Result<Status, CacheError> {
    Status::from_json(json).map_err(|reason| CacheError::Unreadable {
        document: "status",
        reason,
    })
}
