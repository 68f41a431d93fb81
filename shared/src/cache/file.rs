//! The file cache: `snapshot.json`, `status.json` and `lease` in one directory, for one machine.
//!
//! Each file is replaced by write-new, fsync, rename, fsync of the directory; a reader or a crash
//! sees the old file or the new one. The lease is a file lock, which ends with its process.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::write::Commit;
use super::{CacheError, Stored, snapshot_from, snapshot_to, status_from};
use crate::snapshot::{MAX_BYTES, Snapshot};
use crate::status::Status;

const SNAPSHOT: &str = "snapshot.json";
const STATUS: &str = "status.json";
const LEASE: &str = "lease";

/// Readers notice a commit within half a second; a look is two `stat` calls.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Even without a change on disk, look now and then: time stamps can be coarse.
const LOOK_ALL_THE_SAME: Duration = Duration::from_secs(5);

/// Reads from a directory.
#[derive(Debug)]
pub(super) struct Reader {
    directory: PathBuf,
    seen: Stamps,
}

/// What tells one version of the two files from the next: inode, and time of change.
type Stamps = [Option<(u64, i64, i64)>; 2];

impl Reader {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            seen: [None; 2],
        }
    }

    pub(super) async fn status(&mut self) -> Result<Option<Status>, CacheError> {
        let directory = self.directory.clone();
        self.seen = stamps(&directory);
        blocking(move || {
            load(&directory, STATUS)?
                .map(|json| status_from(&json))
                .transpose()
        })
        .await
    }

    pub(super) async fn snapshot(&mut self) -> Result<Option<Snapshot>, CacheError> {
        let directory = self.directory.clone();
        blocking(move || {
            load(&directory, SNAPSHOT)?
                .map(|json| snapshot_from(&json))
                .transpose()
        })
        .await
    }

    pub(super) async fn look_due(&mut self) {
        let looks = LOOK_ALL_THE_SAME.as_millis() / LOOK_INTERVAL.as_millis();
        for _ in 0..looks {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if stamps(&self.directory) != self.seen {
                return;
            }
        }
    }
}

fn stamps(directory: &Path) -> Stamps {
    [SNAPSHOT, STATUS].map(|name| {
        let file = fs::metadata(directory.join(name)).ok()?;
        Some((file.ino(), file.mtime(), file.mtime_nsec()))
    })
}

/// Writes to a directory.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    holder: String,
    lease: Option<File>,
}

impl Writer {
    pub(super) fn new(directory: &Path, holder: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            holder: holder.to_owned(),
            lease: None,
        }
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    pub(super) async fn lease(&mut self) -> Result<Result<(), String>, CacheError> {
        if self.holds_lease() {
            return Ok(Ok(()));
        }
        let (directory, holder) = (self.directory.clone(), self.holder.clone());
        let taken = blocking(move || take_lease(&directory, &holder).map_err(unreachable)).await?;
        Ok(taken.map(|file| self.lease = Some(file)))
    }

    /// Whether our lock is on the file that others would try to lock.
    fn holds_lease(&self) -> bool {
        let ours = self.lease.as_ref().and_then(|file| file.metadata().ok());
        let theirs = fs::metadata(self.directory.join(LEASE)).ok();
        ours.zip(theirs)
            .is_some_and(|(ours, theirs)| ours.ino() == theirs.ino())
    }

    pub(super) async fn load(&mut self) -> Result<Stored, CacheError> {
        let directory = self.directory.clone();
        blocking(move || {
            let snapshot = load(&directory, SNAPSHOT)?.map(|json| snapshot_from(&json));
            let status = load(&directory, STATUS)?.map(|json| status_from(&json));
            Ok(Stored {
                snapshot: snapshot.transpose()?,
                status: status.transpose()?,
            })
        })
        .await
    }

    pub(super) async fn commit(&mut self, commit: Commit<'_>) -> Result<(), CacheError> {
        if !self.holds_lease() {
            return Err(CacheError::LeaseLost);
        }
        let snapshot = commit.snapshot.map(snapshot_to).transpose()?;
        let status = commit.status.to_json();
        let directory = self.directory.clone();
        let expected = commit.expected;
        blocking(move || {
            // Nobody else writes while the lock is held, so that looking first is enough.
            let stored = load(&directory, SNAPSHOT)?
                .map(|json| snapshot_from(&json))
                .transpose()?;
            let found = stored.map_or(0, |stored| stored.generation);
            if found != expected {
                return Err(CacheError::Conflict { expected, found });
            }
            if let Some(snapshot) = snapshot {
                replace(&directory, SNAPSHOT, &snapshot).map_err(unreachable)?;
            }
            replace(&directory, STATUS, &status).map_err(unreachable)
        })
        .await
    }

    pub(super) fn release(&mut self) {
        self.lease = None;
    }
}

fn take_lease(directory: &Path, holder: &str) -> io::Result<Result<File, String>> {
    fs::create_dir_all(directory)?;
    let path = directory.join(LEASE);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut other = String::new();
            file.take(256).read_to_string(&mut other)?;
            Ok(Err(other))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn load(directory: &Path, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
    let file = match File::open(directory.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreachable(error)),
    };
    let mut json = Vec::new();
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut json)
        .map_err(unreachable)?;
    if json.len() > MAX_BYTES {
        return Err(CacheError::Refused(format!(
            "{name} is larger than {MAX_BYTES} bytes"
        )));
    }
    Ok(Some(json))
}

/// Replaces a file so that a crash at any moment leaves the old one or the new one.
fn replace(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn unreachable(error: io::Error) -> CacheError {
    CacheError::Unreachable(error.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|failed| CacheError::Unreachable(failed.to_string()))?
}
