//! `ghibli-poller drill`: a fake release, end to end, in a place of its own in the same cache. The
//! release path runs once in years, so people must be able to rehearse it.
//!
//! Uses the mirror's own code for every step: a sync against a stand-in upstream in this process, a
//! commit to the real cache under keys (or in a directory) that no server follows, and readers that
//! follow those. Logs nothing, announces nothing outside, and removes what it stored.

mod stand_in;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use chrono::Utc;
use serde::Serialize;
use shared::cache::CacheUrl;
use shared::cache::read::Reader;
use shared::cache::write::{Lease, Writer};
use shared::catalogue::Collection;
use shared::catalogue::snapshot::{Release, Snapshot};
use shared::service::{console, shutdown, tls};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::stand_in::StandIn;
use super::progress::Progress;
use super::{cache, name};
use crate::config::PollerConfig;
use crate::cycle::report::Report;
use crate::cycle::step::Trust;
use crate::cycle::{Cycle, Syncer};
use crate::notify::outbox::Deliveries;
use crate::upstream::UpstreamClient;

/// How long the whole drill may take.
const TIME: Duration = Duration::from_mins(1);

/// How long its lease lasts at first; syncs renew it.
const LEASE_TIME: Duration = Duration::from_secs(15);

/// The film that is released.
const TITLE: &str = "A Drill";

/// What happened when, in milliseconds after the release upstream.
#[derive(Debug, Default, Serialize)]
struct Times {
    fetched_ms: f64,
    committed_ms: f64,
    /// When each reader had the film.
    readers_ms: Vec<f64>,
    /// What the mirror would wait for besides: its next scheduled sync, in seconds from now.
    next_sync_in_s: i64,
}

/// Rehearses a release with so many readers, and prints what happened when.
///
/// # Errors
/// When a step fails, takes too long, or another drill runs. Also then nothing stays behind.
pub async fn run(config: PollerConfig, readers: usize, json: bool) -> Result<ExitCode> {
    tls::install_provider();
    let stopped = shutdown::requested()?;
    let progress = Progress::start(format_args!("a drill in {}", config.cache_url));
    let cache = cache(&config).of_drill();
    let mut cleaner = Writer::new(&cache, &name())?;
    let lease = cleaner.lease(LEASE_TIME).await;
    let lease = lease.context("the drill cannot use its own place in the cache")?;
    if let Lease::HeldBy(holder) = lease {
        bail!("another drill runs: {holder}");
    }
    // An earlier one may have been killed.
    cleaner.erase().await.context("cannot clean up")?;
    let times = tokio::select! {
        times = timeout(TIME, Box::pin(rehearse(&cache, readers, &progress))) => {
            times.unwrap_or_else(|_| Err(anyhow!("no end within {TIME:?}")))
        }
        signal = stopped => Err(anyhow!("stopped by {signal}")),
    };
    let left = clean_up(&mut cleaner).await;
    drop(progress);
    let mut times = times?;
    left?;
    let now = Utc::now();
    times.next_sync_in_s = (config.poll_schedule.next_after(now) - now).num_seconds();
    let text = if json {
        serde_json::to_string_pretty(&times)?
    } else {
        times.in_words()
    };
    Ok(console::finish(text, ExitCode::SUCCESS))
}

async fn rehearse(cache: &CacheUrl, readers: usize, progress: &Progress) -> Result<Times> {
    let stand_in = StandIn::start().await?;
    let upstream = UpstreamClient::direct(stand_in.base(), Duration::from_secs(10))?;
    let mut syncer = Syncer::new(
        upstream,
        Writer::new(cache, &name())?,
        Deliveries::default(),
    );
    progress.step("the first sync");
    let first = sync(&mut syncer, || ()).await?;
    ensure!(first.released.is_empty(), "the first sync announced films");
    let mut following = JoinSet::new();
    for _ in 0..readers {
        let mut reader = Reader::new(cache)?;
        follow(&mut reader, |_| true).await?;
        following.spawn(async move {
            follow(&mut reader, has_film).await?;
            Ok::<_, anyhow::Error>(Instant::now())
        });
    }

    progress.step("the release");
    let released = Instant::now();
    let id = stand_in.release(TITLE);
    let mut fetched = released;
    let second = sync(&mut syncer, || fetched = Instant::now()).await?;
    let committed = Instant::now();
    ensure!(
        matches!(&second.released[..], [Release { id: film, sequence: 1, .. }] if *film == id),
        "the release log has {} films instead of the one",
        second.released.len()
    );
    let mut seen = Vec::new();
    while let Some(reader) = following.join_next().await {
        seen.push(reader??);
    }
    let third = sync(&mut syncer, || ()).await?;
    ensure!(third.released.is_empty(), "the film was announced twice");
    syncer.release().await;
    let after = |moment: Instant| {
        let micros = (moment - released).as_micros();
        f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0
    };
    seen.sort_unstable();
    Ok(Times {
        fetched_ms: after(fetched),
        committed_ms: after(committed),
        readers_ms: seen.into_iter().map(after).collect(),
        next_sync_in_s: 0,
    })
}

/// Syncs once, as a running poller does. Fails unless everything was confirmed.
async fn sync(syncer: &mut Syncer, fetched: impl FnOnce()) -> Result<Box<Report>> {
    let next_attempt = |_| {
        fetched();
        None
    };
    match Box::pin(syncer.sync_once(Trust::Suspicious, next_attempt)).await? {
        Cycle::Finished(report) if report.outcome.is_success() => Ok(report),
        Cycle::Finished(report) => bail!("{}", report.reason().unwrap_or_default()),
        Cycle::Standby { holder } => bail!("another drill runs: {holder}"),
    }
}

/// Follows the cache as a server does, until a snapshot is as wanted.
async fn follow(reader: &mut Reader, is_wanted: impl Fn(&Snapshot) -> bool) -> Result<()> {
    loop {
        reader.look_due().await;
        reader.status().await?;
        let snapshot = reader.snapshot().await?;
        if snapshot.is_some_and(|snapshot| is_wanted(&snapshot)) {
            return Ok(());
        }
    }
}

fn has_film(snapshot: &Snapshot) -> bool {
    let mut films = snapshot.records(Collection::Films).iter();
    films.any(|film| film.title() == TITLE)
}

/// Removes everything, and checks that nothing is left.
async fn clean_up(cleaner: &mut Writer) -> Result<()> {
    cleaner.erase().await.context("cannot clean up")?;
    let left = cleaner.load().await.context("cannot check the clean-up")?;
    let is_clean = left.snapshot.is_none() && left.status.is_none();
    ensure!(
        is_clean,
        "the drill's data is still there after the clean-up"
    );
    Ok(())
}

impl Times {
    fn in_words(&self) -> String {
        let mut text = format!("{:>9.1} ms  released upstream: {TITLE}\n", 0.0);
        let (fetched, committed) = (self.fetched_ms, self.committed_ms);
        let _ = writeln!(text, "{fetched:>9.1} ms  fetched by the poller");
        let _ = writeln!(text, "{committed:>9.1} ms  committed, and announced once");
        for (seen, number) in self.readers_ms.iter().zip(1..) {
            let _ = writeln!(text, "{seen:>9.1} ms  visible to reader {number}");
        }
        let seconds = self.next_sync_in_s;
        let _ = write!(
            text,
            "a sync later, nothing was announced again; nothing of the drill is left\n\
             a release also waits for the next sync, now due in {seconds} s, and a server needs some \
             milliseconds to render it"
        );
        text
    }
}
