//! A full disk under the file cache: readers still serve, and the poller recovers.
//!
//! The disk is a small one in memory, mounted for this run, so no other disk fills up.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

use super::client::ids;
use super::report::{ANSWERED, RECOVERS, RELEASE_LOG, Violation};
use super::stack::stored;
use crate::client::{Connection, try_get};
use crate::process::{Poller, RunningServer, Server};
use crate::upstream::Upstream;
use crate::{PATIENCE, catalogue, eventually};

/// Room for several copies of the cache.
const SIZE: &str = "size=2m,mode=1777";

/// How often the run fills and frees the disk.
const TIMES: usize = 3;

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// Readers answered every request while the disk was full or became free.
    Whole {
        /// How many requests the readers answered.
        answered: usize,
    },
    /// This machine refused to mount a disk, with this message.
    NotPermitted(String),
}

/// Fills the disk under a poller that has a film to commit, then frees it; repeats this.
///
/// # Errors
///
/// The promise that the mirror broke.
///
/// # Panics
///
/// When the test equipment itself fails.
pub async fn run() -> Result<Ran, Violation> {
    let disk = match Disk::mount() {
        Ok(disk) => disk,
        Err(reason) => return Ok(Ran::NotPermitted(reason)),
    };
    let cache = disk.path().join("cache");
    let server = Server::new(&format!("file:{}", cache.display()));
    let readers = [server.start().await, server.start().await];
    let answered = AtomicUsize::new(0);
    tokio::select! {
        result = fill_and_free(&disk, &cache, &readers, &server) => result?,
        violation = read(&readers[0], &answered) => return Err(violation),
        violation = read(&readers[1], &answered) => return Err(violation),
    }
    let answered = answered.into_inner();
    Ok(Ran::Whole { answered })
}

async fn fill_and_free(
    disk: &Disk,
    cache: &Path,
    readers: &[RunningServer],
    server: &Server,
) -> Result<(), Violation> {
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &format!("file:{}", cache.display()))
        .schedule("* * * * * *")
        .start()
        .await;
    let baseline = ids(&catalogue()["films"]);
    let mut released = baseline.clone();
    serve(readers, &released).await?;
    for time in 0..TIMES {
        let ballast = disk.fill();
        let mark = poller.process.mark();
        released.push(upstream.release(&format!("Film {time}")));
        // The first failure may belong to a sync that started before the release.
        eventually("two commits to a full disk", PATIENCE, async || {
            let (lines, _) = poller.process.stderr_since(mark);
            let failed = lines.iter().filter(|line| line.contains("No space left"));
            failed.count() >= 2
        })
        .await;
        // A reader that starts now finds what was there before.
        let late = server.start().await;
        serve(&[late], &released[..released.len() - 1]).await?;

        std::fs::remove_file(ballast).expect("the ballast can be removed");
        serve(readers, &released).await?;
        let snapshot = std::fs::read_to_string(cache.join("snapshot.json"));
        let snapshot = snapshot.ok().and_then(|json| stored("", &json));
        let log = snapshot.unwrap_or_default().log;
        let wanted = (1..).zip(released[baseline.len()..].iter().cloned());
        if !wanted.eq(log.iter().cloned()) {
            return Err(Violation {
                promise: RELEASE_LOG,
                seen: format!("released {released:?}, logged {log:?}"),
            });
        }
    }
    Ok(())
}

/// Waits until every reader serves exactly these films.
async fn serve(readers: &[RunningServer], films: &[String]) -> Result<(), Violation> {
    let deadline = Instant::now() + PATIENCE;
    for reader in readers {
        loop {
            let answer = try_get(&format!("{}/films", reader.url())).await;
            let shown = answer.ok().filter(|answer| answer.status == 200);
            if shown.is_some_and(|answer| ids(&answer.json()) == films) {
                break;
            }
            if Instant::now() > deadline {
                return Err(Violation {
                    promise: RECOVERS,
                    seen: format!("no {} films in {PATIENCE:?}", films.len()),
                });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Reads from one reader all the time, as soon as it has answered once. Returns when the reader
/// does not answer a request.
async fn read(reader: &RunningServer, answered: &AtomicUsize) -> Violation {
    let url = format!("{}/films", reader.url());
    let mut connection = Connection::new();
    let mut has_answered = false;
    loop {
        let answer = connection.get(&url).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
            has_answered = true;
            answered.fetch_add(1, Ordering::Relaxed);
        } else if has_answered {
            let seen = format!("GET {url}: {answer:?}");
            return Violation {
                promise: ANSWERED,
                seen,
            };
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// A mounted disk. Dropping it unmounts it.
struct Disk {
    directory: TempDir,
    /// The command that gives superuser rights, if this user needs one.
    prefix: &'static [&'static str],
}

impl Disk {
    fn mount() -> Result<Self, String> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut reasons = Vec::new();
        for prefix in [&[][..], &["sudo", "-n"][..]] {
            let arguments = ["mount", "-t", "tmpfs", "-o", SIZE, "tmpfs"];
            match run_command(prefix, &arguments, directory.path()) {
                Ok(()) => return Ok(Self { directory, prefix }),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fills the disk to the last byte, and returns the file that takes the space.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).expect("a file on the disk");
        // The loop ends when the disk is full, as intended.
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Unmounts lazily, because a dying process may still hold a file open.
        let unmounted = run_command(self.prefix, &["umount", "-l"], self.path());
        if let Err(reason) = unmounted
            && !std::thread::panicking()
        {
            panic!("the small disk stays mounted: {reason}");
        }
    }
}

fn run_command(prefix: &[&str], command: &[&str], directory: &Path) -> Result<(), String> {
    let words = [prefix, command].concat();
    let output = Command::new(words[0])
        .args(&words[1..])
        .arg(directory)
        .output()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
