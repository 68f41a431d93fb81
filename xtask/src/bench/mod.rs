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
mod recorded;
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
use budgets::Budget;
use cases::CASES;
use figures::Figures;
use recorded::Recorded;
use scale::SCALES;
use stage::Stage;

/// How often to measure again what seems worse than recorded: a slower build is slower each time, a
/// machine with busy neighbours is not.
const AGAIN: u32 = 2;

/// What can be chosen.
#[derive(Args, Clone)]
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
    /// Fail if a ratio is more than a tenth worse than in docs/performance.md, also when its case is
    /// measured again
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
    let recorded = options.check.then(Recorded::read).transpose()?;
    let mut figures = Figures::default();
    for part in options.what.unwrap_or(What::Table).parts() {
        part.measure(&mut stage, options, &mut figures).await?;
        let Some(recorded) = &recorded else { continue };
        for _ in 0..AGAIN {
            let cases = part.cases_of(&recorded.worse(&figures));
            if cases.is_empty() {
                break;
            }
            say(format_args!(
                "again, as it seems worse: {}",
                cases.join(", ")
            ));
            let options = Options {
                only: cases,
                ..options.clone()
            };
            part.measure(&mut stage, &options, &mut figures).await?;
        }
    }
    report::finish(&stage, options, &figures, recorded.as_ref())
}

impl What {
    /// The parts that it consists of. `Scale` is the last, as it replaces the programs.
    fn parts(self) -> Vec<Self> {
        match self {
            Self::All => vec![
                Self::Table,
                Self::Idle,
                Self::Sync,
                Self::Spread,
                Self::Scale,
            ],
            part => vec![part],
        }
    }

    /// Measures a part and prints its figures.
    async fn measure(
        self,
        stage: &mut Stage,
        options: &Options,
        figures: &mut Figures,
    ) -> Result<()> {
        let listed: &[_] = match self {
            // It prints its own rows.
            Self::Table => return table::run(stage, options, figures).await,
            Self::All => unreachable!("is taken apart before"),
            Self::Idle => {
                idle::run(stage, options, figures).await?;
                &["idle.", "connections.", "start.", "binary."]
            }
            Self::Sync => {
                sync::run(stage, options, figures).await?;
                &["sync-"]
            }
            Self::Spread => {
                spread::run(stage, options, figures).await?;
                &["spread."]
            }
            Self::Scale => {
                scale::run(stage, options, figures).await?;
                &["scale"]
            }
        };
        say(report::list(figures, listed));
        Ok(())
    }

    /// The cases of this part whose figures these budgets compare.
    fn cases_of(self, budgets: &[&Budget]) -> Vec<String> {
        let known: Vec<_> = match self {
            Self::Table => CASES.iter().map(|case| case.name.to_owned()).collect(),
            Self::Scale => SCALES.map(scale::name).into(),
            _ => Vec::new(),
        };
        let is_compared = |case: &String| budgets.iter().any(|budget| budget.compares(case));
        known.into_iter().filter(is_compared).collect()
    }
}
