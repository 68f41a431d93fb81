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
//! | [`measure`] | one round of load on one server |
//! | [`figures`] | what was measured, under names |
//! | [`budgets`] | the limits, and whether the figures keep them |
//! | [`report`] | tables and JSON |
//!
//! Writes only below `target/`, and installs what is missing.

mod budgets;
mod cases;
mod figures;
mod measure;
mod program;
mod programs;
mod report;
mod rivals;
mod stage;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::say;
use figures::Figures;
use stage::Stage;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
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

/// Builds, measures, and prints tables.
pub(crate) fn bench(options: &Options) -> Result<()> {
    crate::until_interrupted(run(options))
}

async fn run(options: &Options) -> Result<()> {
    let stage = Stage::set().await?;
    say(&stage.machine);
    let mut figures = Figures::default();
    table::run(&stage, options, &mut figures).await?;
    report::finish(&stage, options, &figures)
}
