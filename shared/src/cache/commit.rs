//! What both kinds of writer take and return: the lease, and the content of a commit.

use crate::catalogue::snapshot::Snapshot;
use crate::catalogue::status::Status;

/// Which poller has the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This one.
    Held,
    /// The one with this name.
    HeldBy(String),
}

/// The content of a commit.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The generation that the cache should hold before the commit; 0 for an empty cache.
    pub expected: u64,
    /// The new snapshot, if there is one.
    pub snapshot: Option<&'a Snapshot>,
    /// The new status.
    pub status: &'a Status,
}
