//! What a sync costs the poller and the upstream: the first one, and one without changes.

use std::time::Duration;

use anyhow::{Context, Result};
use testkit::redis::Redis;
use testkit::upstream::{RequestCounts, Upstream};

use super::Options;
use super::figures::{Figures, count, mebibytes, median};
use super::program::Program;
use super::stage::{EVERY_SECOND, NEVER, Stage, syncs};
use crate::say;

/// Measures both.
pub(super) async fn run(stage: &Stage, options: &Options, figures: &mut Figures) -> Result<()> {
    let redis = Redis::start().await;
    for kind in ["redis", "file"] {
        cold(stage, options, kind, &redis, figures).await?;
        quiet(stage, options, kind, &redis, figures).await?;
    }
    Ok(())
}

/// An empty cache.
async fn cache(stage: &Stage, kind: &str, redis: &Redis) -> String {
    if kind == "redis" {
        redis.cli(&["FLUSHALL"]).await;
        redis.url()
    } else {
        stage.new_cache()
    }
}

/// From the start of a poller on an empty cache until its first sync has finished.
async fn cold(
    stage: &Stage,
    options: &Options,
    kind: &str,
    redis: &Redis,
    figures: &mut Figures,
) -> Result<()> {
    say(format_args!("cold syncs, {kind}"));
    let (mut cpu, mut memory, mut time) = (Vec::new(), Vec::new(), Vec::new());
    let mut asked = RequestCounts::default();
    for _ in 0..options.rounds {
        let cache = cache(stage, kind, redis).await;
        let before = stage.upstream.counts();
        let mut poller = stage.poller(&cache, NEVER)?;
        time.push(duration(&mut poller).await?);
        let spent = poller.spent()?;
        cpu.push(spent.cpu.as_secs_f64() * 1e3);
        memory.push(mebibytes(spent.resident));
        asked = since(&stage.upstream, before);
    }
    let name = |figure: &str| format!("sync-cold.poller-{kind}.{figure}");
    figures.set(name("cpu_ms"), median(cpu));
    figures.set(name("rss_mib"), median(memory));
    figures.set(name("duration_ms"), median(time));
    figures.set(name("requests"), number(asked.requests));
    figures.set(name("body_bytes"), number(asked.body_bytes));
    Ok(())
}

/// How many syncs of a poller do not count: the first, and one more, as the start may end later
/// than the first sync.
const FIRST: usize = 2;

/// A poller that syncs every second and never finds a change. Includes what it costs between the
/// syncs.
async fn quiet(
    stage: &Stage,
    options: &Options,
    kind: &str,
    redis: &Redis,
    figures: &mut Figures,
) -> Result<()> {
    say(format_args!("quiet syncs, {kind}"));
    let wanted = usize::try_from(options.rounds)?.max(1) * 2;
    let cache = cache(stage, kind, redis).await;
    let mut poller = stage.poller(&cache, EVERY_SECOND)?;
    poller.printed(syncs(FIRST)).await?;
    let before = (stage.upstream.counts(), poller.spent()?);
    let time_limit = Duration::from_secs(10) + Duration::from_secs(2) * options.rounds * 2;
    let all = poller.printed(syncs(FIRST + wanted));
    tokio::time::timeout(time_limit, all)
        .await
        .context("the poller syncs too rarely")??;
    let asked = since(&stage.upstream, before.0);
    let spent = poller.spent()?;
    let cpu = spent.cpu.saturating_sub(before.1.cpu).as_secs_f64() * 1e3;
    let each = |total: u64| number(total) / count(wanted);
    let name = |figure: &str| format!("sync-quiet.poller-{kind}.{figure}");
    figures.set(name("cpu_ms"), cpu / count(wanted));
    figures.set(name("rss_mib"), mebibytes(spent.resident));
    figures.set(name("requests"), each(asked.requests));
    figures.set(
        name("unconditional"),
        each(asked.requests - asked.conditional),
    );
    figures.set(name("body_bytes"), each(asked.body_bytes));
    Ok(())
}

/// The milliseconds that the first sync took, as the poller's log says.
async fn duration(poller: &mut Program) -> Result<f64> {
    let line = poller.printed(syncs(1)).await?;
    line["duration_ms"].as_f64().context("a sync's duration")
}

fn since(upstream: &Upstream, before: RequestCounts) -> RequestCounts {
    let now = upstream.counts();
    RequestCounts {
        requests: now.requests - before.requests,
        conditional: now.conditional - before.conditional,
        not_modified: now.not_modified - before.not_modified,
        body_bytes: now.body_bytes - before.body_bytes,
        connections: now.connections - before.connections,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn number(count: u64) -> f64 {
    count as f64
}
