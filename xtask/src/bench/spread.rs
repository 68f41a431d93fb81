//! How long a commit takes to be visible on every reader.
//!
//! A film is released, the poller syncs at the next second and commits, and each reader is asked
//! for the film until it answers. The time counts from the commit: Redis's notice, or the change of
//! the file. Asking each reader takes its share of a millisecond, so the figures are upper limits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use benchkit::answer::{Answer, connect};
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use tokio::time::sleep;

use super::Options;
use super::figures::{Figures, median, percentile};
use super::stage::{self, EVERY_SECOND, Reader, Stage, syncs};
use crate::say;

/// How many readers follow one cache.
const READERS: [usize; 3] = [1, 4, 16];

/// Commits for each round.
const COMMITS: u32 = 4;

/// How long a commit may take to be visible everywhere before the benchmark gives up.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Measures with Redis and with a file.
pub(super) async fn run(stage: &Stage, options: &Options, figures: &mut Figures) -> Result<()> {
    for kind in ["redis", "file"] {
        for readers in READERS {
            say(format_args!("commits to {readers} readers, {kind}"));
            let redis = Redis::start().await;
            let cache = if kind == "redis" {
                redis.url()
            } else {
                stage.new_cache()
            };
            let commits = if kind == "redis" {
                Commits::of_redis(redis.port())?
            } else {
                Commits::of_file(&cache)
            };
            let times = spread(stage, options, &cache, readers, &commits).await?;
            let name = |figure: &str| format!("spread.{kind}-{readers}.{figure}");
            figures.set(name("p99_ms"), percentile(times.clone(), 0.99));
            figures.set(name("p50_ms"), median(times));
        }
    }
    Ok(())
}

/// Releases films. Returns, for each film and reader, the milliseconds from the commit.
async fn spread(
    stage: &Stage,
    options: &Options,
    cache: &str,
    readers: usize,
    commits: &Commits,
) -> Result<Vec<f64>> {
    let upstream = Upstream::start(testkit::catalogue());
    let mut poller = stage.poller_of(&upstream, cache, EVERY_SECOND)?;
    poller.printed(syncs(1)).await?;
    let mut following = Vec::new();
    for _ in 0..readers {
        following.push(stage.reader(cache, &stage.cores.all).await?);
    }
    let mut times = Vec::new();
    for number in 0..options.rounds * COMMITS {
        let film = upstream.release(&format!("Film {number}"));
        let seen = visible(&following, &film).await?;
        let committed = commits.last()?;
        for seen in seen {
            let late = seen.duration_since(committed).unwrap_or_default();
            times.push(late.as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

/// When each reader first answered with the film.
async fn visible(readers: &[Reader], film: &str) -> Result<Vec<SystemTime>> {
    let request = stage::request(&format!("/films/{film}"), &[]);
    let mut waiting = Vec::new();
    for reader in readers {
        waiting.push(connect(reader.address)?);
    }
    let mut seen = Vec::new();
    let began = SystemTime::now();
    while !waiting.is_empty() {
        let mut next = Vec::new();
        for mut connection in waiting {
            if Answer::on(&mut connection, &request)?.status() == 200 {
                seen.push(SystemTime::now());
            } else {
                next.push(connection);
            }
        }
        waiting = next;
        let is_late = began.elapsed().is_ok_and(|time| time > TIME_LIMIT);
        ensure!(!is_late, "a commit was not visible in {TIME_LIMIT:?}");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(seen)
}

/// Finds out when a commit happened.
enum Commits {
    /// Generations, and when Redis sent the notices of them.
    Redis(mpsc::Receiver<(String, SystemTime)>),
    /// The snapshot's file.
    File(PathBuf),
}

impl Commits {
    fn of_redis(port: u16) -> Result<Self> {
        const CHANNEL: &str = "{ghibli}:changed";

        let mut stream = TcpStream::connect(stage::loopback(port))?;
        stream.write_all(format!("SUBSCRIBE {CHANNEL}\r\n").as_bytes())?;
        let (notices, times) = mpsc::channel();
        // Ends with its Redis.
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
            while lines.any(|line| line == CHANNEL) {
                let now = SystemTime::now();
                // The payload's length, and the payload.
                let Some(generation) = lines.nth(1) else {
                    return;
                };
                if notices.send((generation, now)).is_err() {
                    return;
                }
            }
        });
        Ok(Self::Redis(times))
    }

    fn of_file(cache: &str) -> Self {
        let directory = cache.trim_start_matches("file:");
        Self::File(Path::new(directory).join("snapshot.json"))
    }

    /// When the newest generation was committed. Syncs without a change also send notices.
    fn last(&self) -> Result<SystemTime> {
        match self {
            Self::Redis(times) => {
                let notices: Vec<_> = times.try_iter().collect();
                let (newest, _) = notices.last().context("Redis sent no notice")?;
                let first = notices.iter().find(|(generation, _)| generation == newest);
                Ok(first.context("the newest is one of them")?.1)
            }
            Self::File(file) => {
                let changed = std::fs::metadata(file)?;
                let seconds = Duration::from_secs(u64::try_from(changed.ctime())?);
                let rest = Duration::from_nanos(u64::try_from(changed.ctime_nsec())?);
                Ok(UNIX_EPOCH + seconds + rest)
            }
        }
    }
}
