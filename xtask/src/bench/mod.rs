//! `cargo xtask bench`: compares the mirror with the servers that people would otherwise use.
//!
//! | part | owns |
//! |---|---|
//! | [`cases`] | what is asked, and which servers answer it |
//! | [`rivals`] | how each server is started with the same bodies |
//! | [`programs`] | the optimised programs, built or found |
//! | [`stage`] | the processor cores, a filled cache, and the bodies as files |
//! | [`program`] | a started program and all its processes, ended on every way out |
//! | [`table`] | the run of all cases |
//! | [`idle`], [`sync`], [`spread`], [`scale`] | what else is measured |
//! | [`catalogue`] | the catalogue, many times larger |
//! | [`measure`] | one round of load on one server |
//! | [`figures`] | what was measured, under names |
//! | [`budgets`] | the limits, and whether the figures keep them |
//! | [`report`] | tables and JSON |
//!
//! Writes only below `target/`, and installs what is missing.

mod budgets;
mod cases;
mod catalogue;
mod figures;
mod idle;
mod measure;
mod program;
mod programs;
mod report;
mod rivals;
mod scale;
mod spread;
mod stage;
mod sync;
mod table;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use crate::say;
use cases::CASES;
use figures::Figures;
use scale::SCALES;
use stage::Stage;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// What to measure; without it, the table of servers
    #[command(subcommand)]
    what: Option<What>,
    /// How many rounds each server gets; the servers of a case take turns
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each round lasts
    #[arg(long, global = true, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Only this case of the table, or this scale; may be repeated
    #[arg(long, global = true, value_name = "CASE")]
    only: Vec<String>,
    /// Write all figures to this file, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if a ratio is more than a tenth worse than in docs/performance.md
    #[arg(long, global = true)]
    check: bool,
    /// Write tables and ratios into docs/performance.md
    #[arg(long, global = true)]
    record: bool,
}

impl Options {
    /// Whether a case of this name is to be measured.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.record || self.only.is_empty(),
            "--record with --only would forget the other cases"
        );
        let cases = CASES.iter().map(|case| case.name.to_owned());
        let known: Vec<_> = cases.chain(SCALES.map(scale::name)).collect();
        for only in &self.only {
            ensure!(
                known.contains(only),
                "no case {only}, but: {}",
                known.join(", ")
            );
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// The table of servers: what each request costs
    Table,
    /// What the programs cost while nobody asks, their memory, start and sizes
    Idle,
    /// What a first sync and a sync without changes cost
    Sync,
    /// How long a commit takes to be visible on 1, 4 and 16 readers
    Spread,
    /// What grows with the catalogue, up to a thousand times today's
    Scale,
    /// All of it
    All,
}

/// Builds, measures, and prints tables.
pub(crate) fn bench(options: &Options) -> Result<()> {
    options.check()?;
    crate::until_interrupted(run(options))
}

async fn run(options: &Options) -> Result<()> {
    let mut stage = Stage::set().await?;
    say(&stage.machine);
    let mut figures = Figures::default();
    let what = options.what.unwrap_or(What::Table);
    let is_all = matches!(what, What::All);
    if is_all || matches!(what, What::Table) {
        table::run(&stage, options, &mut figures).await?;
    }
    if is_all || matches!(what, What::Idle) {
        idle::run(&stage, options, &mut figures).await?;
        say(report::list(
            &figures,
            &["idle.", "connections.", "start.", "binary."],
        ));
    }
    if is_all || matches!(what, What::Sync) {
        sync::run(&stage, options, &mut figures).await?;
        say(report::list(&figures, &["sync-"]));
    }
    if is_all || matches!(what, What::Spread) {
        spread::run(&stage, options, &mut figures).await?;
        say(report::list(&figures, &["spread."]));
    }
    // Last, as it replaces the programs.
    if is_all || matches!(what, What::Scale) {
        scale::run(&mut stage, options, &mut figures).await?;
        say(report::list(&figures, &["scale"]));
    }
    report::finish(&stage, options, &figures)
}
