//! What grows with the catalogue: 1, 10, 30 and 1000 times today's.
//!
//! The programs refuse a catalogue of more than thirty times today's size, and a reader refuses
//! 10,000 connections. For this benchmark alone
//! they are built from a copy of the sources with larger limits; see [`super::programs`].
//!
//! nginx stands in for the upstream, as the usual stand-in would take longer than the poller.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::attack::raise_open_files;

use super::Options;
use super::cases::{CASES, Case};
use super::catalogue::Bodies;
use super::figures::{Figures, count, mebibytes, median};
use super::idle;
use super::measure::{p99_at, round};
use super::program::Launch;
use super::rivals::{self, Running};
use super::stage::{self, Stage};
use crate::install::run as run_command;
use crate::say;

/// How many times today's catalogue.
pub(super) const SCALES: [u32; 4] = [1, 10, 30, 1000];

/// Requests per second while a reader reloads, and before. A rate that each scale keeps.
const RATE: f64 = 5_000.0;

/// How long a start, a sync or a reload may take.
const TIME_LIMIT: Duration = Duration::from_mins(20);

const NEW_FILM: &str = "99999999-0000-4000-8000-000000000000";

/// A scale's name on the command line and among the figures.
pub(super) fn name(scale: u32) -> String {
    format!("scale-{scale}")
}

/// Measures each scale.
pub(super) async fn run(stage: &mut Stage, options: &Options, figures: &mut Figures) -> Result<()> {
    rivals::install_all()?;
    stage.programs = stage.programs.with_raised_limits(stage.folder())?;
    if options.only.is_empty() {
        raise_open_files();
        idle::connections(stage, "scale-connections", figures).await?;
    }
    for scale in SCALES {
        if options.wants(&name(scale)) {
            one(stage, options, scale, figures)
                .await
                .with_context(|| format!("{scale} times the catalogue"))?;
        }
    }
    for step in ["cold_sync", "sync", "load", "related"] {
        let get = |scale: &str, figure: &str| figures.get(&format!("scale-{scale}.{figure}"));
        let time = get("1000", &format!("{step}_ms")).zip(get("30", &format!("{step}_ms")));
        let size = get("1000", "raw_mib").zip(get("30", "raw_mib"));
        if let Some(((time, time_30), (size, size_30))) = time.zip(size) {
            let growth = (time / time_30) / (size / size_30);
            figures.set(format!("scale.growth.{step}"), growth);
        }
    }
    Ok(())
}

async fn one(stage: &Stage, options: &Options, scale: u32, figures: &mut Figures) -> Result<()> {
    say(format_args!("{scale} times the catalogue"));
    let mut set = |figure: &str, value| figures.set(format!("{}.{figure}", name(scale)), value);
    let mut bodies = Bodies::repeated(&testkit::catalogue(), scale)?;
    set("raw_mib", count(bodies.size()) / count(1 << 20));
    let files = stage.folder().join(format!("upstream-{scale}"));
    std::fs::create_dir_all(&files)?;
    write(&bodies, &files)?;
    let server = format!(
        "root {}; default_type application/json; gzip_static on;",
        files.display()
    );
    let (upstream, address) = rivals::nginx::start("upstream", &server, stage, &stage.cores.load)?;
    let url = format!("http://{address}");

    let held = stage.folder().join(format!("held-{scale}"));
    set("cold_sync_ms", sync(stage, &url, &held).await?);

    let began = Instant::now();
    let cache = format!("file:{}", held.display());
    let launch = stage.reader_launch(&cache).time_limit(TIME_LIMIT);
    let reader = launch.start(&stage.cores.server, stage.folder())?;
    let reader = stage::Reader::loaded(reader).await?;
    set("load_ms", milliseconds(began.elapsed()));
    let reader = reader.compressed().await?;
    set("compressed_ms", milliseconds(began.elapsed()));
    set("rss_mib", mebibytes(reader.program.spent()?.resident));

    let film: &Case = CASES.first().context("the first case is a film")?;
    let path = format!("/films/{}", stage.film);
    set("related_ms", related(&reader, &format!("{path}/people"))?);
    let running = Running::of(reader, &path);
    let time = Duration::from_secs(options.seconds);
    let mut cpu = Vec::new();
    for _ in 0..options.rounds {
        cpu.push(round(stage, film, &running, &[], time).await?.cpu);
    }
    set("film.cpu_us", median(cpu));

    // From here on the reader may use all cores, as rendering shall not stop it.
    running.program.move_to(&stage.cores.all)?;
    let mut quiet = Vec::new();
    for _ in 0..options.rounds {
        quiet.push(p99_at(stage, &running, &[], RATE, time).await?);
    }
    set("quiet_p99_ms", median(quiet));

    // The next commit is prepared elsewhere, so that the poller takes nothing from the reader.
    bodies.release(&new_film(&testkit::catalogue()))?;
    write(&bodies, &files)?;
    drop(bodies);
    let next = stage.folder().join(format!("next-{scale}"));
    run_command(Command::new("cp").arg("--recursive").args([&held, &next]))?;
    set("sync_ms", sync(stage, &url, &next).await?);
    drop(upstream);
    set(
        "reload_p99_ms",
        reload(stage, &running, &next, &held, time).await?,
    );
    set(
        "reloaded_rss_mib",
        mebibytes(running.program.spent()?.resident),
    );
    drop(running);
    for folder in [files, next, held] {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Writes what the upstream sends, as it is and in gzip. What stays the same keeps its validator.
fn write(bodies: &Bodies, files: &Path) -> Result<()> {
    for (name, body) in bodies.all() {
        let file = files.join(name);
        if std::fs::read(&file).is_ok_and(|before| before == body.as_bytes()) {
            continue;
        }
        std::fs::write(&file, body)?;
        run_command(
            Command::new("gzip")
                .args(["-1", "--keep", "--force"])
                .arg(file),
        )?;
    }
    Ok(())
}

/// The first film under another id, with the same fields.
fn new_film(catalogue: &Value) -> Value {
    let mut film = catalogue["films"][0].clone();
    film["id"] = json!(NEW_FILM);
    film
}

/// Syncs once, in a process of its own. Returns the milliseconds, its start included.
async fn sync(stage: &Stage, upstream: &str, cache: &Path) -> Result<f64> {
    let began = Instant::now();
    let mut poller = Launch::ours("sync", &stage.programs.poller)
        .arg("sync")
        .env("GHIBLI_API", upstream)
        .env("CACHE_URL", format!("file:{}", cache.display()))
        .env("UPSTREAM_TIMEOUT", "30s")
        .time_limit(TIME_LIMIT)
        .start(&stage.cores.all, stage.folder())?;
    poller.ended().await?;
    Ok(milliseconds(began.elapsed()))
}

/// The milliseconds of one answer that is computed from all records.
fn related(reader: &stage::Reader, path: &str) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        let answer = stage::answer(reader.address, path, &[])?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        times.push(milliseconds(began.elapsed()));
    }
    Ok(median(times))
}

/// Gives the reader the next snapshot, and returns the worst p99 until it serves it.
async fn reload(
    stage: &Stage,
    running: &Running,
    next: &Path,
    held: &Path,
    time: Duration,
) -> Result<f64> {
    for name in ["snapshot.json", "status.json"] {
        let fresh: PathBuf = held.join(format!("{name}.next"));
        std::fs::copy(next.join(name), &fresh)?;
        std::fs::rename(fresh, held.join(name))?;
    }
    let began = Instant::now();
    let path = format!("/films/{NEW_FILM}");
    let mut worst = 0_f64;
    loop {
        worst = worst.max(p99_at(stage, running, &[], RATE, time).await?);
        if stage::answer(running.address, &path, &[])?.status() == 200 {
            return Ok(worst);
        }
        ensure!(began.elapsed() < TIME_LIMIT, "no reload in {TIME_LIMIT:?}");
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
