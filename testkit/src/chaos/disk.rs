//! A full disk under the file cache: readers still serve, and the poller recovers.
//!
//! The disk is a small one in memory, mounted for this run, so no other disk fills up.

use std::fs::{File, read_to_string, remove_file};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::answer::ids;
use super::stack::stored;
use crate::client::{hammer, try_get};
use crate::process::{Poller, RunningServer, Server};
use crate::upstream::Upstream;
use crate::{TIME_LIMIT, catalogue, eventually};

/// Room for several copies of the cache.
const SIZE: &str = "size=2m,mode=1777";

/// How often the run fills and frees the disk.
const TIMES: usize = 3;

/// How many requests the readers get while the disk is full, and again when it becomes free.
const REQUESTS: usize = 2_000;

/// Fills the disk under a poller that has a film to commit, then frees it; repeats this. Returns
/// how many requests the readers answered meanwhile, all of them.
///
/// # Errors
///
/// Why this machine refuses to mount a disk.
///
/// # Panics
///
/// When the mirror breaks a promise.
pub async fn run() -> Result<usize, String> {
    let disk = Disk::mount()?;
    let directory = disk.path().join("cache");
    let cache = format!("file:{}", directory.display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache).schedule("* * * * * *");
    let (poller, server) = (poller.start().await, Server::new(&cache));
    let readers = [server.start().await, server.start().await];
    let baseline = ids(&catalogue()["films"]);
    serve(&readers, &baseline).await;
    let urls = [0, 1].map(|reader: usize| format!("{}/films", readers[reader].url()));
    let (mut released, mut answered) = (baseline.clone(), 0);
    for time in 0..TIMES {
        let ballast = disk.fill();
        let mark = poller.process.mark();
        released.push(upstream.release(&format!("Film {time}")));
        // The first failure may belong to a sync that started before the release.
        let failed = async || {
            let (lines, _) = poller.process.stderr_since(mark);
            let failed = lines.iter().filter(|line| line.contains("No space left"));
            failed.count() >= 2
        };
        let failed = eventually("two commits to a full disk", TIME_LIMIT, failed);
        let ((), full) = tokio::join!(failed, hammer(&urls, REQUESTS, 2));
        // A reader that starts now finds what was there before.
        serve(&[server.start().await], &released[..released.len() - 1]).await;
        remove_file(ballast).expect("the ballast can be removed");
        let ((), free) = tokio::join!(serve(&readers, &released), hammer(&urls, REQUESTS, 2));
        assert!(full.all_ok() && free.all_ok(), "{full:?}\n{free:?}");
        answered += full.answered + free.answered;
        let snapshot = read_to_string(directory.join("snapshot.json")).expect("a snapshot");
        let log = stored("", &snapshot).expect("a snapshot").log;
        let wanted = (1..).zip(released[baseline.len()..].iter().cloned());
        assert_eq!(log, wanted.collect::<Vec<_>>(), "the release log");
    }
    Ok(answered)
}

/// Waits until every reader serves exactly these films.
async fn serve(readers: &[RunningServer], films: &[String]) {
    for reader in readers {
        let url = format!("{}/films", reader.url());
        eventually("a reader with every film", TIME_LIMIT, async || {
            let answer = try_get(&url).await.ok();
            answer.is_some_and(|answer| answer.status == 200 && ids(&answer.json()) == films)
        })
        .await;
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
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).arg(directory).output();
    let output = output.map_err(|error| format!("{}: {error}", words[0]))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
