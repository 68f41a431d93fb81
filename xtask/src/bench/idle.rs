//! What the programs cost while nobody asks anything: processor time with one status change a
//! second, memory, open connections, the time to start, and the binaries' sizes.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use benchkit::answer::{Answer, connect};
use testkit::attack::raise_open_files;
use testkit::free_port;
use testkit::redis::Redis;
use tokio::time::sleep;

use super::Options;
use super::figures::{Figures, count, mebibytes, median};
use super::stage::{self, EVERY_SECOND, Stage};
use crate::say;

/// How many connections are opened and left alone.
const IDLE_CONNECTIONS: usize = 10_000;

/// Measures all of it.
pub(super) async fn run(stage: &Stage, options: &Options, figures: &mut Figures) -> Result<()> {
    let files = raise_open_files();
    say(format_args!("{files} files may be open"));
    let redis = Redis::start().await;
    for (kind, cache) in [("redis", redis.url()), ("file", stage.new_cache())] {
        quiet(stage, options, kind, &cache, figures).await?;
    }
    connections(stage, "connections", figures).await?;
    start(stage, options, &redis.url(), figures).await?;
    for (name, file) in [
        ("poller", &stage.programs.poller),
        ("server", &stage.programs.server),
    ] {
        let size = std::fs::metadata(file)?.len();
        figures.set(format!("binary.{name}.mib"), mebibytes(size));
    }
    Ok(())
}

/// A poller that syncs every second without a change, and a reader that nobody asks.
async fn quiet(
    stage: &Stage,
    options: &Options,
    kind: &str,
    cache: &str,
    figures: &mut Figures,
) -> Result<()> {
    let time = Duration::from_secs(options.seconds) * options.rounds;
    say(format_args!("idle for {} s, {kind}", time.as_secs()));
    let mut poller = stage.poller(cache, EVERY_SECOND)?;
    poller.printed(stage::syncs(1)).await?;
    let reader = stage.reader(cache, &stage.cores.all).await?;
    // Rendering and compressing the first snapshot goes on for a moment.
    sleep(Duration::from_secs(2)).await;
    let before = (reader.program.spent()?, poller.spent()?);
    sleep(time).await;
    let after = (reader.program.spent()?, poller.spent()?);
    for (name, before, after) in [("reader", before.0, after.0), ("poller", before.1, after.1)] {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e3;
        let name = |figure: &str| format!("idle.{name}-{kind}.{figure}");
        figures.set(name("cpu_ms_per_s"), cpu / time.as_secs_f64());
        figures.set(name("rss_mib"), mebibytes(after.resident));
    }
    Ok(())
}

/// Many clients that each asked once and keep their connections. A reader whose limit is lower
/// replaces the oldest.
pub(super) async fn connections(stage: &Stage, name: &str, figures: &mut Figures) -> Result<()> {
    say(format_args!("{IDLE_CONNECTIONS} idle connections"));
    let reader = stage.reader(&stage.cache_url(), &stage.cores.all).await?;
    let request = stage::request(&format!("/films/{}", stage.film), &[]);
    let mut clients = Vec::new();
    for _ in 0..IDLE_CONNECTIONS {
        let mut client = connect(reader.address)?;
        Answer::on(&mut client, &request)?;
        clients.push(client);
    }
    let spent = reader.program.spent()?;
    let held = clients.iter().filter(|client| is_open(client)).count();
    figures.set(format!("{name}.reader.rss_mib"), mebibytes(spent.resident));
    figures.set(format!("{name}.reader.held"), count(held));
    Ok(())
}

/// Whether the server has not closed a connection on which nothing is outstanding.
fn is_open(client: &TcpStream) -> bool {
    let is_silent = client.set_nonblocking(true).is_ok();
    let byte = client.peek(&mut [0]);
    is_silent && byte.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// From the start of the process until it is ready, with a filled Redis.
async fn start(stage: &Stage, options: &Options, cache: &str, figures: &mut Figures) -> Result<()> {
    say("start to ready");
    let ready = stage::request("/readyz", &[]);
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        let admin = stage::loopback(free_port());
        let began = Instant::now();
        let launch = stage.reader_launch(cache);
        let mut program = launch
            .env("ADMIN_ADDR", admin.to_string())
            .start(&stage.cores.all, stage.folder())?;
        let is_ready = || {
            let answer = Answer::to(admin, &ready).ok()?;
            (answer.status() == 200).then_some(())
        };
        program.until(is_ready).await.context("the reader")?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    figures.set("start.reader.ready_ms", median(times));
    Ok(())
}
