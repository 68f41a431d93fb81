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
//! | [`idle`], [`sync`], [`spread`] | what else is measured |
//! | [`measure`] | one round of load on one server |
//! | [`figures`] | what was measured, under names |
//! | [`budgets`] | the limits, and whether the figures keep them |
//! | [`report`] | tables and JSON |
//!
//! Writes only below `target/`, and installs what is missing.

mod budgets;
mod cases;
mod figures;
mod idle;
mod measure;
mod program;
mod programs;
mod report;
mod rivals;
mod spread;
mod stage;
mod sync;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::say;
use figures::Figures;
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
    /// Only cases whose names contain one of these; may be repeated
    #[arg(long, global = true, value_name = "CASE")]
    only: Vec<String>,
    /// Write all figures to this file, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if a ratio is more than a tenth worse than in docs/performance.md
    #[arg(long, global = true)]
    check: bool,
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
    /// All of it
    All,
}

/// Builds, measures, and prints tables.
pub(crate) fn bench(options: &Options) -> Result<()> {
    crate::until_interrupted(run(options))
}

async fn run(options: &Options) -> Result<()> {
    let stage = Stage::set().await?;
    say(&stage.machine);
    let mut figures = Figures::default();
    let what = options.what.unwrap_or(What::Table);
    let is_all = matches!(what, What::All);
    if is_all || matches!(what, What::Table) {
        table::run(&stage, options, &mut figures).await?;
    }
    if is_all || matches!(what, What::Idle) {
        idle::run(&stage, options, &mut figures).await?;
        report::list(&figures, &["idle.", "connections.", "start.", "binary."]);
    }
    if is_all || matches!(what, What::Sync) {
        sync::run(&stage, options, &mut figures).await?;
        report::list(&figures, &["sync-"]);
    }
    if is_all || matches!(what, What::Spread) {
        spread::run(&stage, options, &mut figures).await?;
        report::list(&figures, &["spread."]);
    }
    report::finish(&stage, options, &figures)
}
