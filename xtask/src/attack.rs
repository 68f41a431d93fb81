//! `cargo xtask attack`: measures what attacks cost a server, and what an honest client notices.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use testkit::attack::{list, measure, raise_open_files};
use testkit::mirror::Mirror;
use testkit::process::cargo;

use crate::{note, say};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each attack goes on
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Only attacks whose names contain one of these; all of them unless named
    #[arg(value_name = "ATTACK")]
    attacks: Vec<String>,
}

/// Builds, attacks, and prints a table.
pub(crate) fn attack(options: &Options) -> Result<()> {
    crate::until_interrupted(table(options))
}

async fn table(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        return optimised(options);
    }
    let files = raise_open_files();
    say(format_args!(
        "{files} files may be open; building the binaries"
    ));
    tokio::task::spawn_blocking(testkit::process::binaries).await?;
    let mirror = Mirror::of(testkit::catalogue()).await;
    let time = Duration::from_secs(options.seconds);
    say(format_args!(
        "{} s for each attack\n\n{}",
        options.seconds,
        measure::header()
    ));
    let is_wanted = |name: &str| {
        let wanted = &options.attacks;
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
    };
    say(measure::measure(&mirror, None, time).await.markdown());
    for attack in list::all() {
        if is_wanted(attack.name) {
            let row = measure::measure(&mirror, Some(&attack), time).await;
            say(row.markdown());
            if let Some(failure) = row.seen.first_failure {
                note(format_args!("{}: first failure: {failure}", attack.name));
            }
        }
    }
    Ok(())
}

/// Runs `cargo xtask attack` optimised, which then also builds optimised binaries to attack.
fn optimised(options: &Options) -> Result<()> {
    say("building optimised binaries; the first time this takes some minutes");
    let mut run = cargo();
    run.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "xtask",
        "--",
        "attack",
    ])
    .args(["--seconds", &options.seconds.to_string()])
    .args(&options.attacks);
    let status = run.status()?;
    ensure!(status.success(), "the attack ended with {status}");
    Ok(())
}
