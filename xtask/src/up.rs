//! `cargo xtask up`: the mirror on this machine, with nothing to install.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use testkit::client::try_get;
use testkit::process::cargo;
use testkit::upstream::Upstream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::{say, top};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// How many servers to run, on consecutive ports
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
    readers: u16,
    /// The first server's port
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65000))]
    port: u16,
    /// Use this Redis as the cache instead of a directory
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Sync with a stand-in upstream on this machine; typing a title and Enter releases a film
    #[arg(long)]
    offline: bool,
    /// Build optimised binaries; takes longer to build
    #[arg(long)]
    release: bool,
}

/// How much of a typed line counts as a title, in bytes.
const LONGEST_TITLE: u64 = 1024;

/// How long processes get to stop by themselves.
const STOP_TIME: Duration = Duration::from_secs(12);

/// How long the first page may take once everything is built.
const START_TIME: Duration = Duration::from_mins(1);

/// Builds, starts, tells where to look, and waits for Ctrl-C.
pub(crate) fn up(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(run(options));
    // Reading titles from a terminal cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    outcome
}

async fn run(options: &Options) -> Result<()> {
    let (mut interrupt, mut terminate, mut hangup) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    let binaries = build(options.release)?;
    let upstream = options
        .offline
        .then(|| Upstream::start(testkit::catalogue()));
    // What the stand-in says must not get into the cache that the real upstream fills, nor be known
    // when the stand-in begins anew.
    let scratch = options.offline.then(tempfile::tempdir).transpose()?;
    let directory = scratch
        .as_ref()
        .map_or_else(|| top().join("data"), |scratch| scratch.path().to_owned());
    let mut processes = start(options, &binaries, &directory, upstream.as_ref())?;
    let outcome = tokio::select! {
        () = stopped => Ok(()),
        outcome = watch(&mut processes) => outcome,
        outcome = tell(options, upstream.as_ref()) => outcome,
    };
    say("stopping");
    stop(processes).await;
    outcome
}

/// Builds both binaries and returns the folder that they are in.
fn build(release: bool) -> Result<PathBuf> {
    say("building the poller and the server; the first time this takes some minutes");
    let mut build = cargo();
    build.args([
        "build",
        "--locked",
        "--package",
        "poller",
        "--package",
        "server",
        "--bins",
    ]);
    if release {
        build.arg("--release");
    }
    ensure!(build.status()?.success(), "the build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    Ok(top()
        .join(target)
        .join(if release { "release" } else { "debug" }))
}

struct Process {
    name: String,
    child: Child,
}

fn start(
    options: &Options,
    binaries: &Path,
    directory: &Path,
    upstream: Option<&Upstream>,
) -> Result<Vec<Process>> {
    let directory = format!("file:{}", directory.display());
    let cache = options.redis.clone().unwrap_or(directory);
    let mut processes = Vec::new();
    let mut spawn = |name: String, binary: &str, environment: &[(&str, String)]| {
        let mut command = Command::new(binaries.join(binary));
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("CACHE_URL", &cache)
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("LOG_FORMAT", "text")
            .stdin(Stdio::null())
            // Ctrl-C on the terminal reaches xtask alone, which then stops the others in order.
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        processes.push(Process { name, child });
        anyhow::Ok(())
    };
    let api = upstream.map(|upstream| ("GHIBLI_API", upstream.url()));
    let often = options
        .offline
        .then(|| ("POLL_SCHEDULE", "*/5 * * * * *".to_owned()));
    spawn(
        "the poller".into(),
        "ghibli-poller",
        &api.into_iter().chain(often).collect::<Vec<_>>(),
    )?;
    for reader in 0..options.readers {
        let address = format!("127.0.0.1:{}", options.port + reader);
        let public = format!("http://127.0.0.1:{}", options.port);
        let environment = [("LISTEN_ADDR", address), ("PUBLIC_URL", public)];
        spawn(
            format!("server {}", reader + 1),
            "ghibli-server",
            &environment,
        )?;
    }
    Ok(processes)
}

/// Tells where to look as soon as there is something to see, then listens for titles.
async fn tell(options: &Options, upstream: Option<&Upstream>) -> Result<()> {
    let url = |reader| format!("http://127.0.0.1:{}", options.port + reader);
    timeout(START_TIME, async {
        for reader in 0..options.readers {
            let films = format!("{}/films", url(reader));
            while !matches!(try_get(&films).await, Ok(answer) if answer.status == 200) {
                sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await
    .context("no films within a minute; the lines above say why")?;
    let also = match options.readers {
        1 => String::new(),
        readers => {
            let (second, last) = (options.port + 1, options.port + readers - 1);
            format!("   (and ports {second} to {last})")
        }
    };
    say(format_args!("\n  Films:   {}/movies{also}", url(0)));
    say(format_args!("  JSON:    {}/films\n", url(0)));
    let Some(upstream) = upstream else {
        say("  The poller syncs every minute. Ctrl-C stops everything.\n");
        return std::future::pending().await;
    };
    say("  Type a title and Enter: the stand-in upstream releases the film.");
    say("  Ctrl-C stops everything.\n");
    release(upstream).await
}

/// Releases every title that is typed, for ever.
async fn release(upstream: &Upstream) -> Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    loop {
        let mut line = Vec::new();
        let mut start = (&mut input).take(LONGEST_TITLE);
        let Ok(1..) = start.read_until(b'\n', &mut line).await else {
            // Without a terminal there are no titles, and the mirror goes on.
            return std::future::pending().await;
        };
        let is_whole = line.ends_with(b"\n");
        let text = String::from_utf8_lossy(&line);
        let title: String = text.chars().filter(|it| !it.is_control()).collect();
        let title = title.trim();
        if !title.is_empty() {
            upstream.release(title);
            say(format_args!("released upstream: {title}"));
        }
        if !is_whole {
            skip_line(&mut input).await?;
        }
    }
}

/// Reads on to the end of a line that is too long, without keeping it.
async fn skip_line(input: &mut (impl AsyncBufReadExt + Unpin)) -> Result<()> {
    loop {
        let read = input.fill_buf().await?;
        let end = read.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(read.len(), |end| end + 1);
        input.consume(skipped);
        if end.is_some() || skipped == 0 {
            return Ok(());
        }
    }
}

/// Ends when any process does, which none should.
async fn watch(processes: &mut [Process]) -> Result<()> {
    loop {
        for Process { name, child } in &mut *processes {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}; the lines above say why");
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Asks all to stop, and makes those that do not.
async fn stop(mut processes: Vec<Process>) {
    for Process { child, .. } in &processes {
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Fails only if it has just ended.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    for Process { name, child } in &mut processes {
        if timeout(STOP_TIME, child.wait()).await.is_err() {
            say(format_args!("{name} does not stop; killing it"));
            let _ = child.kill().await;
        }
    }
}
