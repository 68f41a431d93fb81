//! The cache: where the poller stores snapshot and status, and where the readers find them.
//!
//! | module | owns |
//! |---|---|
//! | [`read`] | the readers' half: read, and wait for something new |
//! | [`mod@write`] | the poller's half: the lease and the commit; the feature `write` |
//! | `commit` | the lease and the content of a commit |
//! | `history` | the earlier generations that are kept |
//! | `last_read` | what spares a poller the reading of the same snapshot every minute |
//! | `redis`, `file` | the two kinds of cache, each with both halves |
//! | `disk` | the file cache's operations on its file system |
//! | `url` | the forms of `CACHE_URL` |
//!
//! A commit replaces everything at once; a reader sees the old snapshot or the new one. Every
//! operation has a time limit.

#[cfg_attr(
    not(feature = "write"),
    expect(unreachable_pub, reason = "only builds with the feature write")
)]
mod commit;
mod disk;
mod file;
#[cfg_attr(
    not(feature = "write"),
    expect(
        dead_code,
        unreachable_pub,
        reason = "only builds with the feature write"
    )
)]
mod history;
mod last_read;
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

use crate::catalogue::snapshot::{MAX_BYTES, Snapshot};
use crate::catalogue::status::Status;
use crate::catalogue::stored::Unreadable;

pub use self::url::{CacheUrl, RedisUrl};

/// The content of a cache.
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
    /// No server answers at the address, or the connection broke.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// The server refused: wrong password, missing permission, read-only replica, no memory.
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
    /// Another commit came first.
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

/// Serialises a snapshot for storage. Refuses one that readers could not load, because nobody, not
/// even the poller, could then read the cache.
fn snapshot_to(snapshot: &Snapshot) -> Result<String, CacheError> {
    let json = snapshot.to_json();
    if json.len() > MAX_BYTES {
        let reason = format!("the snapshot would be larger than {MAX_BYTES} bytes");
        return Err(CacheError::Refused(reason));
    }
    Ok(json)
}

/// The refusal to erase anything else than what a drill stored.
fn only_a_drill() -> CacheError {
    CacheError::Refused("only the cache of a drill may be erased".to_owned())
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
