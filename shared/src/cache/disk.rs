//! Operations on a file cache's directory: in background threads, one at a time, with a time limit.
//! Errors name the path and say what would be right.
//!
//! File systems differ: some have no locks, some cannot confirm a write, and a network file system
//! may hang. Handles each of these; does not know snapshots.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::CacheError;
use super::commit::Lease;
use crate::catalogue::snapshot::MAX_BYTES;
use crate::log;
use crate::service::telemetry::events;

/// How long an operation may take, including the wait for an earlier one that hangs. A working disk
/// needs milliseconds; a busy one sometimes needs a second for an fsync.
const TIME: Duration = Duration::from_secs(10);

/// The errors by which a file system says that it cannot confirm a file, or a directory.
const UNCONFIRMED: [Errno; 7] = [
    Errno::INVAL,
    Errno::NOTSUP,
    Errno::NOSYS,
    Errno::BADF,
    Errno::ISDIR,
    Errno::ACCESS,
    Errno::PERM,
];

/// Whether the log already says that the file system does not confirm writes.
static SAID_UNCONFIRMED: AtomicBool = AtomicBool::new(false);

/// A directory, and a semaphore that allows one operation at a time.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    /// An operation holds this while it runs. One that hangs keeps it, so that at most one thread
    /// ever hangs.
    turn: Arc<Semaphore>,
}

impl Disk {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Does some work on the directory. After a timeout it is unknown whether the work is still
    /// going on.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, CacheError> {
        let directory = self.directory.clone();
        let turn = self.turn.clone().acquire_owned();
        let done = timeout(TIME, async {
            let turn = turn.await.expect("the semaphore is never closed");
            let work = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work(&directory)
            });
            work.await
        });
        match done.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failed)) => Err(CacheError::Unreachable(failed.to_string())),
            Err(_) => {
                let directory = self.directory.display();
                let text = format!("{directory} does not answer within {TIME:?}");
                Err(CacheError::Unreachable(text))
            }
        }
    }
}

/// Reads a file; `None` when there is none.
pub(super) fn load(directory: &Path, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
    let path = directory.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble("read", &path, &error)),
    };
    let mut json = Vec::new();
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut json)
        .map_err(|error| trouble("read", &path, &error))?;
    if json.len() > MAX_BYTES {
        return Err(CacheError::Refused(format!(
            "{} is larger than {MAX_BYTES} bytes",
            path.display()
        )));
    }
    Ok(Some(json))
}

/// Replaces a file so that a crash at any moment leaves the old one or the new one.
pub(super) fn replace(directory: &Path, name: &str, content: &[u8]) -> Result<(), CacheError> {
    let new = directory.join(format!("{name}.new"));
    let wrong = |error: &io::Error| trouble("write", &new, error);
    let mut file = File::create(&new).map_err(|error| wrong(&error))?;
    file.write_all(content).map_err(|error| wrong(&error))?;
    confirm(Ok(file)).map_err(|error| wrong(&error))?;
    let path = directory.join(name);
    fs::rename(&new, &path).map_err(|error| trouble("replace", &path, &error))?;
    // The commit is done. The rest only makes sure that it survives a loss of power.
    confirm(File::open(directory)).map_err(|error| trouble("write", directory, &error))
}

/// Waits until a file or a directory is on the disk. Does not wait if the file system cannot
/// confirm it.
fn confirm(file: io::Result<File>) -> io::Result<()> {
    match file.and_then(|file| file.sync_all()) {
        Err(error) if says(&error, &UNCONFIRMED) => {
            say_unconfirmed(&error);
            Ok(())
        }
        outcome => outcome,
    }
}

fn say_unconfirmed(error: &io::Error) {
    if !SAID_UNCONFIRMED.swap(true, Ordering::Relaxed) {
        log!(
            events::CACHE_NOT_DURABLE,
            reason = %error,
            "the file system of the cache does not confirm what it has written, \
             so a loss of power may lose the last commits: {error}"
        );
    }
}

/// Locks a file, writes the holder's name into it, and returns the file. The lock lasts until the
/// file is closed. If another process has the lock, returns only the name that it wrote.
pub(super) fn lock(path: &Path, holder: &str) -> Result<(Lease, Option<File>), CacheError> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(|error| trouble("create", directory, &error))?;
    let wrong = |error: io::Error| trouble("lock", path, &error);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(wrong)?;
    match file.try_lock() {
        Ok(()) => {
            let written = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(holder.as_bytes()));
            written.map_err(wrong)?;
            Ok((Lease::Held, Some(file)))
        }
        Err(TryLockError::WouldBlock) => {
            let mut other = String::new();
            file.take(256).read_to_string(&mut other).map_err(wrong)?;
            Ok((Lease::HeldBy(other), None))
        }
        Err(TryLockError::Error(error)) => Err(wrong(error)),
    }
}

/// Describes the failure and the path, and says what would be right where a person can help.
fn trouble(action: &str, path: &Path, error: &io::Error) -> CacheError {
    let advice = match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => "; give this process's user the directory",
        Some(Errno::ROFS) => "; the file system is read-only, choose another directory",
        Some(Errno::NOTDIR | Errno::EXIST) => "; CACHE_URL must name a directory",
        Some(Errno::ISDIR) => "; remove this directory, it stands in the place of a file",
        Some(Errno::BUSY | Errno::XDEV) => "; mount the whole directory, not a single file of it",
        Some(Errno::NOSPC | Errno::DQUOT) => "; make room on the disk",
        Some(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) if action == "lock" => {
            "; this file system keeps no locks, use a directory on a local disk, or Redis"
        }
        _ => "",
    };
    let text = format!("cannot {action} {}: {error}{advice}", path.display());
    if advice.is_empty() {
        CacheError::Unreachable(text)
    } else {
        CacheError::Refused(text)
    }
}

fn says(error: &io::Error, any: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| any.contains(&errno))
}
