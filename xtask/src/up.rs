//! `cargo xtask up`: runs the mirror on this machine; needs no other installation.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use testkit::client::try_get;
use testkit::process::build;
use testkit::upstream::Upstream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
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

/// How many bytes of a typed line count as a title.
const LONGEST_TITLE: u64 = 1024;

/// How many columns of a title to show and release, so that its line fits into 80 columns.
const TITLE_COLUMNS: usize = 60;

/// How long processes may take to stop by themselves.
const STOP_TIME: Duration = Duration::from_secs(12);

/// How long the first page may take after the build.
const START_TIME: Duration = Duration::from_mins(1);

/// Builds and starts everything, says where to look, and waits for Ctrl-C.
pub(crate) fn up(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(run(options));
    // Reading titles from a terminal cannot be interrupted, so do not wait for it.
    runtime.shutdown_background();
    outcome
}

async fn run(options: &Options) -> Result<()> {
    let mut stop = Stop::new()?;
    for reader in 0..options.readers {
        is_free(options.port + reader)?;
    }
    let Some(binaries) = built(options.release, &mut stop).await? else {
        return Ok(());
    };
    let upstream = options
        .offline
        .then(|| Upstream::start(testkit::catalogue()));
    // The stand-in's data must not get into the cache of the real upstream, and a new stand-in must
    // not find an old one's data.
    let scratch = options.offline.then(tempfile::tempdir).transpose()?;
    let directory = scratch
        .as_ref()
        .map_or_else(|| top().join("data"), |scratch| scratch.path().to_owned());
    let mut processes = start(options, &binaries, &directory, upstream.as_ref())?;
    let outcome = tokio::select! {
        () = stop.requested() => Ok(()),
        outcome = watch(&mut processes) => outcome,
        outcome = greet(options, upstream.as_ref()) => outcome,
    };
    end(processes, &mut stop).await;
    outcome
}

/// The signals with which a person stops `up`.
struct Stop {
    interrupt: Signals,
    terminate: Signals,
    /// `None` when this process ignores the signal, as under `nohup`.
    hangup: Option<Signals>,
}

impl Stop {
    fn new() -> Result<Self> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Waits for the next signal.
    async fn requested(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether this process should outlive its terminal. Without `/proc`: no.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1, SIGHUP.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// Returns an error with advice unless a server can listen on this port.
fn is_free(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("port {port} is taken; --port chooses another")
        }
        Err(error) => bail!("cannot listen at port {port}: {error}; --port chooses another"),
    }
}

/// Builds both programs. Returns their folder; `None` when a person stopped the build.
async fn built(release: bool, stop: &mut Stop) -> Result<Option<PathBuf>> {
    say("building the poller and the server; the first time this takes some minutes");
    let mut child = Command::from(build(release))
        .kill_on_drop(true)
        .spawn()
        .context("cannot run cargo")?;
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        () = stop.requested() => None,
    };
    let Some(status) = status else {
        let name = "the build".to_owned();
        end(vec![Process { name, child }], stop).await;
        return Ok(None);
    };
    // Ctrl-C reaches the build as well, and may end it before this process hears of it.
    let stopped = [Signal::INT, Signal::HUP].map(|signal| Some(signal.as_raw()));
    if stopped.contains(&status.signal()) {
        say("stopping");
        return Ok(None);
    }
    ensure!(status.success(), "the build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let profile = if release { "release" } else { "debug" };
    Ok(Some(top().join(target).join(profile)))
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
            // It may be set for another way of running the mirror; both together are a mistake.
            .env_remove("CACHE_URL_FILE")
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("LOG_FORMAT", "text")
            .stdin(Stdio::null())
            // Ctrl-C on the terminal reaches only xtask, which then stops the others in order.
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

/// Says where to look as soon as there is something to see, then waits for titles.
async fn greet(options: &Options, upstream: Option<&Upstream>) -> Result<()> {
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
        2 => format!("   (and port {})", options.port + 1),
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

/// Releases every typed title, for ever.
async fn release(upstream: &Upstream) -> Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    loop {
        let mut line = Vec::new();
        let mut start = (&mut input).take(LONGEST_TITLE);
        let Ok(1..) = start.read_until(b'\n', &mut line).await else {
            // Without a terminal there are no titles, and the mirror keeps running.
            return std::future::pending().await;
        };
        let is_whole = line.ends_with(b"\n");
        let title = title_of(&String::from_utf8_lossy(&line));
        if !title.is_empty() {
            upstream.release(&title);
            say(format_args!("released upstream: {title}"));
        }
        if !is_whole {
            skip_line(&mut input).await;
        }
    }
}

/// Makes a title from a typed line. Removes characters that move the cursor or change the direction
/// of text, and cuts it to the terminal's width.
fn title_of(line: &str) -> String {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut columns = 0;
    let title: String = line
        .trim()
        .chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .take_while(|c| {
            // This is the maximum: many of these characters take only one column.
            columns += 1 + usize::from(*c >= '\u{1100}');
            columns <= TITLE_COLUMNS
        })
        .collect();
    title.trim().to_owned()
}

/// Skips the rest of a line that is too long. A read error ends the line as well.
async fn skip_line(input: &mut (impl AsyncBufReadExt + Unpin)) {
    while let Ok(read) = input.fill_buf().await {
        let end = read.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(read.len(), |end| end + 1);
        input.consume(skipped);
        if end.is_some() || skipped == 0 {
            return;
        }
    }
}

/// Returns an error when any process ends; none should.
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

/// Asks all processes to stop. Kills those that do not stop in time, or when a person asks again.
async fn end(mut processes: Vec<Process>, stop: &mut Stop) {
    say("stopping");
    for Process { child, .. } in &processes {
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Fails only if the process has just ended.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    let ended = async {
        for Process { child, .. } in &mut processes {
            _ = child.wait().await;
        }
    };
    let is_over = tokio::select! {
        () = ended => true,
        () = stop.requested() => false,
        () = sleep(STOP_TIME) => false,
    };
    if is_over {
        return;
    }
    for Process { name, child } in &mut processes {
        if matches!(child.try_wait(), Ok(None)) {
            say(format_args!("{name} does not stop; killing it"));
            let _ = child.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_fits_its_line_and_moves_nothing_in_it() {
        assert_eq!(title_of(" Porco Rosso 2\r\n"), "Porco Rosso 2");
        assert_eq!(title_of("\u{1b}[2Ja\u{202e}b\u{2066}c\u{200f}"), "[2Jabc");
        assert_eq!(title_of("\u{202e}\u{7}\n"), "");
        let line = format!("released upstream: {}", title_of(&"x".repeat(1000)));
        assert_eq!(line.len(), 79);
        assert_eq!(title_of(&"千".repeat(1000)).chars().count(), 30);
    }
}
