//! The file cache: `snapshot.json`, `status.json` and `lease` in one directory, for one machine; and
//! the earlier generations in its directory `history`.
//!
//! Each file is replaced by write-new, fsync, rename, fsync of the directory: even after a crash it
//! is the old file or the new one. The lease is a file lock, which ends with its process.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::commit::{Commit, Lease};
use super::disk::{Disk, load, lock, replace};
use super::history::{self, Past};
use super::last_read::LastRead;
use super::url::DRILL;
use super::{CacheError, Stored, only_a_drill, snapshot_from, snapshot_to, status_from};
use crate::catalogue::snapshot::Snapshot;
use crate::catalogue::status::Status;

const SNAPSHOT: &str = "snapshot.json";
const STATUS: &str = "status.json";
const LEASE: &str = "lease";

/// How often to look at the files. The kernel reports most commits at once, but not those of other
/// machines on a file system that they share.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Read again now and then even without a change on disk: time stamps can be coarse.
const LOOK_ALL_THE_SAME: Duration = Duration::from_secs(5);

/// Reads from a directory.
#[derive(Debug)]
pub(super) struct Reader {
    disk: Disk,
    seen: Stamps,
}

/// What distinguishes one version of the two files from the next: inode, and time of change.
type Stamps = [Option<(u64, i64, i64)>; 2];

impl Reader {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            disk: Disk::new(directory),
            seen: [None; 2],
        }
    }

    pub(super) async fn status(&mut self) -> Result<Option<Status>, CacheError> {
        let look = |directory: &Path| {
            let seen = stamps(directory);
            Ok((seen, load(directory, STATUS)))
        };
        let (seen, status) = self.disk.run(look).await?;
        // Also for an unreadable file: reading it again before it changes would not help.
        self.seen = seen;
        status?.map(|json| status_from(&json)).transpose()
    }

    pub(super) async fn snapshot(&mut self) -> Result<Option<Snapshot>, CacheError> {
        self.disk.run(stored_snapshot).await
    }

    pub(super) async fn look_due(&mut self) {
        let (seen, waiting) = (self.seen, Arc::new(()));
        let waits = Arc::downgrade(&waiting);
        // One thread that sleeps costs a tenth of a timer and a new thread for each look.
        let look = move |directory: &Path| {
            // Anew each time, as somebody may have replaced the directory.
            let notices = watch(directory);
            for _ in 0..LOOK_ALL_THE_SAME.as_millis() / LOOK_INTERVAL.as_millis() {
                if waits.strong_count() == 0 || stamps(directory) != seen {
                    break;
                }
                sleep_until_notice(notices.as_ref());
            }
            Ok(())
        };
        // The caller's next read reports files that cannot be checked.
        let _ = self.disk.run(look).await;
    }
}

/// Asks the kernel for notices of files that are renamed into a directory, as commits do; `None`
/// where it gives none.
fn watch(directory: &Path) -> Option<OwnedFd> {
    let notices = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    inotify::add_watch(&notices, directory, WatchFlags::MOVED_TO).ok()?;
    Some(notices)
}

/// Sleeps until there is a notice, at most [`LOOK_INTERVAL`].
#[expect(
    clippy::disallowed_methods,
    reason = "sleeps on a thread for blocking work"
)]
fn sleep_until_notice(notices: Option<&OwnedFd>) {
    let Some(notices) = notices else {
        return thread::sleep(LOOK_INTERVAL);
    };
    let most = Timespec::try_from(LOOK_INTERVAL).ok();
    let mut waiting = [PollFd::new(notices, PollFlags::IN)];
    if poll(&mut waiting, most.as_ref()) == Ok(0) {
        return;
    }
    // What was renamed does not matter: the caller looks at its files.
    let _ = rustix::io::read(notices, &mut [0; 4096]);
}

fn stamps(directory: &Path) -> Stamps {
    [SNAPSHOT, STATUS].map(|name| {
        let file = fs::metadata(directory.join(name)).ok()?;
        Some((file.ino(), file.mtime(), file.mtime_nsec()))
    })
}

fn stored_snapshot(directory: &Path) -> Result<Option<Snapshot>, CacheError> {
    let json = load(directory, SNAPSHOT)?;
    json.map(|json| snapshot_from(&json)).transpose()
}

/// Writes to a directory.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Disk,
    holder: String,
    lease: Option<Arc<File>>,
    last: LastRead,
    /// The history cannot be written, and the log already says so.
    forgetful: bool,
}

impl Writer {
    pub(super) fn new(directory: &Path, holder: &str) -> Self {
        Self {
            disk: Disk::new(directory),
            holder: holder.to_owned(),
            lease: None,
            last: LastRead::default(),
            forgetful: false,
        }
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    pub(super) async fn lease(&mut self) -> Result<Lease, CacheError> {
        let (held, holder) = (self.lease.clone(), self.holder.clone());
        let take = move |directory: &Path| {
            if held.is_some_and(|held| is_the_lock(&held, directory)) {
                return Ok((Lease::Held, None));
            }
            lock(&directory.join(LEASE), &holder)
        };
        let (lease, locked) = self.disk.run(take).await?;
        if let Some(file) = locked {
            self.lease = Some(Arc::new(file));
        }
        Ok(lease)
    }

    pub(super) async fn load(&mut self) -> Result<Stored, CacheError> {
        let last = self.last.clone();
        let load_both = move |directory: &Path| {
            let status = load(directory, STATUS)?.map(|json| status_from(&json));
            let snapshot = load(directory, SNAPSHOT)?.map(|json| last.read(&json));
            Ok(Stored {
                snapshot: snapshot.transpose()?,
                status: status.transpose()?,
            })
        };
        self.disk.run(load_both).await
    }

    pub(super) async fn commit(&mut self, commit: Commit<'_>) -> Result<(), CacheError> {
        let snapshot = commit.snapshot.map(snapshot_to).transpose()?;
        let (status, expected) = (commit.status.to_json(), commit.expected);
        let (held, next) = (self.lease.clone(), commit.status.generation);
        let last = self.last.clone();
        let replace_both = move |directory: &Path| {
            if !held.is_some_and(|held| is_the_lock(&held, directory)) {
                return Err(CacheError::LeaseLost);
            }
            // Nobody else writes while this poller has the lock, so one check is enough.
            let stored = load(directory, SNAPSHOT)?;
            let read = stored.as_deref().map(|json| last.read(json)).transpose()?;
            let found = read.map_or(0, |stored| stored.generation);
            if found != expected {
                return Err(CacheError::Conflict { expected, found });
            }
            let mut kept = Ok(());
            if let Some(snapshot) = snapshot {
                if let Some(stored) = stored.filter(|_| found != next) {
                    kept = history::keep(directory, found, &stored);
                }
                replace(directory, SNAPSHOT, snapshot.as_bytes())?;
            }
            replace(directory, STATUS, status.as_bytes())?;
            Ok(kept)
        };
        let kept = self.disk.run(replace_both).await?;
        let reason = kept.err().map(|error| error.to_string());
        history::report(&mut self.forgetful, reason.as_deref());
        Ok(())
    }

    pub(super) async fn history(&mut self) -> Result<Vec<Past>, CacheError> {
        self.disk.run(history::list).await
    }

    pub(super) async fn erase(&mut self) -> Result<(), CacheError> {
        let remove = |directory: &Path| {
            if !directory.ends_with(DRILL) {
                return Err(only_a_drill());
            }
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    let path = directory.display();
                    let text = format!("cannot remove {path}: {error}");
                    Err(CacheError::Unreachable(text))
                }
                _ => Ok(()),
            }
        };
        self.disk.run(remove).await
    }

    pub(super) async fn release(&mut self) -> Result<(), CacheError> {
        let held = self.lease.take();
        // Closing a file may hang as well.
        let close = move |_: &Path| {
            drop(held);
            Ok(())
        };
        self.disk.run(close).await
    }
}

/// Whether our lock is on the file that other pollers would try to lock.
fn is_the_lock(ours: &File, directory: &Path) -> bool {
    let ours = ours.metadata().ok();
    let theirs = fs::metadata(directory.join(LEASE)).ok();
    ours.zip(theirs)
        .is_some_and(|(ours, theirs)| ours.ino() == theirs.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_notices_a_file_that_is_replaced_and_one_that_is_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (status, new) = (folder.path().join(STATUS), folder.path().join("new"));
        let mut reader = Reader::new(folder.path());
        for (written, renamed) in [(&new, Some(&status)), (&status, None)] {
            for text in ["{", "{}"] {
                let _ = reader.status().await;
                let due = tokio::time::timeout(LOOK_ALL_THE_SAME / 2, reader.look_due());
                let (due, ()) = tokio::join!(due, async {
                    fs::write(written, text).unwrap();
                    if let Some(to) = renamed {
                        fs::rename(written, to).unwrap();
                    }
                });
                due.expect("sooner than without a change");
            }
        }
    }

    #[test]
    fn the_kernel_reports_a_file_that_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let notices = watch(folder.path()).unwrap();
        let is_reported = || {
            let mut waiting = [PollFd::new(&notices, PollFlags::IN)];
            poll(&mut waiting, Some(&Timespec::default())) == Ok(1)
        };
        fs::write(folder.path().join("new"), "{}").unwrap();
        assert!(!is_reported());
        fs::rename(folder.path().join("new"), folder.path().join(STATUS)).unwrap();
        assert!(is_reported());
    }
}
