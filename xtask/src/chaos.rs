//! `cargo xtask chaos`: runs the mirror under random troubles and checks what it promises.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use testkit::chaos::{disk, left_out, run};

use crate::say;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// How long troubles go on; the last round is finished
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,
    /// What troubles there are and when; any, if absent
    #[arg(long)]
    seed: Option<u64>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("expected minutes, such as 5 or 0.5".to_owned()),
    }
}

/// Builds, runs, prints what happens, and fails if the mirror breaks a promise.
pub(crate) fn chaos(options: &Options) -> Result<()> {
    crate::until_interrupted(storm(options))
}

async fn storm(options: &Options) -> Result<()> {
    let seed = options.seed.map_or_else(any_seed, Ok)?;
    let again = format!(
        "cargo xtask chaos --minutes {} --seed {seed}",
        options.minutes
    );
    say(format_args!("seed {seed}; to replay: {again}"));
    for left_out in left_out() {
        say(left_out);
    }
    tokio::task::spawn_blocking(testkit::process::binaries).await?;

    say("\n== a full disk");
    match disk::run().await {
        Ok(answered) => say(format_args!(
            "{answered} requests answered, every promise kept"
        )),
        Err(reason) if testkit::is_ci() => {
            bail!("no disk to fill could be mounted: {reason}")
        }
        Err(reason) => say(format_args!("skipped, no disk can be mounted: {reason}")),
    }

    say(format_args!(
        "\n== troubles for {} minutes",
        options.minutes
    ));
    let time = Duration::from_secs_f64(options.minutes * 60.0);
    match run(seed, time, |line| say(line)).await {
        Ok(figures) => say(format_args!("\n{figures}")),
        Err(broken) => bail!("{broken}\nto replay: {again}"),
    }
    Ok(())
}

fn any_seed() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.context("the clock stands before 1970")?;
    // Short enough to type.
    Ok(u64::from(now.subsec_nanos()))
}
