//! The cache: where snapshot and status rest between poller and readers.
//!
//! | module | owns |
//! |---|---|
//! | [`read`] | the half that readers have: look, and wait for something new |
//! | [`write`] | the half that only the poller has: the lease and the commit |
//! | `redis`, `file` | the two kinds of cache, each with both halves |
//!
//! A commit replaces everything at once; whoever looks sees the old snapshot or the new one.
//! Every operation is bounded in time.

mod file;
pub mod read;
mod redis;
pub mod write;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use url::Url;

use crate::snapshot::{Snapshot, Unreadable};
use crate::status::Status;

/// Where the cache is: `file:DIRECTORY`, or a Redis URL.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CacheUrl {
    /// A directory of files on this machine.
    File(PathBuf),
    /// A Redis server.
    Redis(Url),
}

impl Default for CacheUrl {
    fn default() -> Self {
        Self::File("data".into())
    }
}

impl FromStr for CacheUrl {
    type Err = &'static str;

    /// Never repeats the text in its error: it may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err("expected a directory after file:")
            } else {
                Ok(Self::File(path.into()))
            };
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "redis" | "rediss") && url.has_host() => {
                Ok(Self::Redis(url))
            }
            _ => Err("expected file:DIRECTORY or redis://[user:password@]host[:port][/database]"),
        }
    }
}

impl TryFrom<String> for CacheUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Without credentials, so that it can be logged.
impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(directory) => write!(f, "file:{}", directory.display()),
            Self::Redis(url) => f.write_str(&without_credentials(url)),
        }
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL as it may be logged: without user, password, query and fragment.
pub fn without_credentials(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs without a host, which cannot carry credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_url_is_shown_without_its_credentials() {
        let url: CacheUrl = "redis://poller:s3cret@cache:6379/2?x=s3cret"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "redis://cache:6379/2");
        assert_eq!(format!("{url:?}"), "redis://cache:6379/2");
        let error = "http://poller:s3cret@cache"
            .parse::<CacheUrl>()
            .unwrap_err();
        assert!(!error.contains("s3cret"));
    }

    #[test]
    fn a_directory_can_be_written_in_three_ways() {
        for (text, directory) in [
            ("file:data", "data"),
            ("file:/var/lib/g", "/var/lib/g"),
            ("file:///srv", "/srv"),
        ] {
            assert_eq!(text.parse(), Ok(CacheUrl::File(directory.into())));
        }
        assert!("file:".parse::<CacheUrl>().is_err());
    }
}
