//! A full disk under the file cache: readers still serve, and the poller recovers.
//!
//! The disk is a small one in memory, mounted for this run, so no other disk fills up.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::client::ids;
use super::promise::{Promise, Violation};
use crate::catalogue;
use crate::client::Connection;
use crate::process::{Poller, RunningPoller, RunningServer, Server};
use crate::upstream::Upstream;

/// Room for several copies of the cache.
const SIZE: &str = "size=2m,mode=1777";

/// How often the run fills and frees the disk.
const TIMES: usize = 3;

/// The bound of every wait.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let cache = format!("file:{}", disk.path().join("cache").display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule("* * * * * *")
        .start()
        .await;
    let server = Server::new(&cache);
    let mut readers = vec![server.start().await, server.start().await];
    let mut released = ids(&catalogue()["films"]);
    serve(&readers, &released).await?;

    let mut clients: Vec<_> = readers.iter().map(Client::of).collect();
    for time in 0..TIMES {
        let ballast = disk.fill();
        let mark = poller.process.mark();
        released.push(upstream.release(&format!("Film {time}")));
        // The first failure may belong to a sync that started before the release.
        let mut seen = 0;
        let complains = |line: &serde_json::Value| {
            let reason = line["reason"].as_str().unwrap_or_default();
            seen += usize::from(reason.contains("No space left"));
            seen == 2
        };
        poller
            .process
            .wait_for_log_since(mark, "sync failed", complains)
            .await;
        // A reader that starts now finds what was there before.
        let late = server.start().await;
        serve(&[late], &released[..released.len() - 1]).await?;

        std::fs::remove_file(ballast).expect("the ballast can be removed");
        serve(&readers, &released).await?;
        is_announced_once(&poller, time).await?;
    }
    let mut answered = 0;
    for client in &mut clients {
        answered += client.stop().await?;
    }
    for reader in &mut readers {
        reader.process.kill().await;
    }
    let mut poller = poller;
    poller.process.kill().await;
    Ok(Ran::Whole { answered })
}

/// Waits until every reader serves exactly these films.
async fn serve(readers: &[RunningServer], films: &[String]) -> Result<(), Violation> {
    let deadline = Instant::now() + PATIENCE;
    for reader in readers {
        let mut connection = Connection::new();
        loop {
            let answer = connection.get(&format!("{}/films", reader.url())).await;
            let shown = answer.ok().filter(|answer| answer.status == 200);
            if shown.is_some_and(|answer| ids(&answer.json()) == films) {
                break;
            }
            if Instant::now() > deadline {
                return Err(Violation {
                    promise: Promise::Recovers,
                    seen: format!(
                        "a reader does not serve {} films in {PATIENCE:?}",
                        films.len()
                    ),
                });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn is_announced_once(poller: &RunningPoller, before: usize) -> Result<(), Violation> {
    let wanted = before as u64 + 1;
    let line = poller
        .process
        .wait_for_log("film released", |line| line["sequence"] == wanted)
        .await;
    let lines = poller.process.logs();
    let announced = lines
        .iter()
        .filter(|line| line["message"] == "film released")
        .count();
    if announced == before + 1 {
        return Ok(());
    }
    Err(Violation {
        promise: Promise::AnnouncedOnce,
        seen: format!("{announced} announcements of {wanted} films; the last: {line}"),
    })
}

/// Reads from one reader all the time. The reader must answer every request.
struct Client {
    stop: Arc<AtomicUsize>,
    reading: JoinHandle<Result<usize, Violation>>,
}

impl Client {
    fn of(reader: &RunningServer) -> Self {
        let stop = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::clone(&stop);
        let url = format!("{}/films", reader.url());
        let reading = tokio::spawn(async move {
            let (mut connection, mut answered) = (Connection::new(), 0);
            while stopped.load(Ordering::Relaxed) == 0 {
                let answer = connection.get(&url).await;
                let status = answer.as_ref().map_or(0, |answer| answer.status);
                if status != 200 {
                    return Err(Violation {
                        promise: Promise::Answered,
                        seen: format!("GET {url}: {answer:?}"),
                    });
                }
                answered += 1;
                sleep(Duration::from_millis(5)).await;
            }
            Ok(answered)
        });
        Self { stop, reading }
    }

    async fn stop(&mut self) -> Result<usize, Violation> {
        self.stop.store(1, Ordering::Relaxed);
        (&mut self.reading)
            .await
            .expect("the client does not panic")
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
    fn fill(&self) -> std::path::PathBuf {
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
