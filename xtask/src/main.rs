//! The commands for this repository: `cargo xtask up`, `test`, `chaos`, `attack`, `bench`,
//! `fuzz`, `screenshots`, `sbom` and `notes`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod attack;
mod bench;
mod chaos;
mod fuzz;
mod install;
mod lanes;
mod notes;
mod sbom;
mod screenshots;
mod test;
mod up;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// What people do with this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and run the poller and a server, until Ctrl-C
    Up(up::Options),
    /// Check everything: formatting, lints, docs, and all tests
    Test(test::Options),
    /// Run the mirror under random troubles and check what it promises
    Chaos(chaos::Options),
    /// Measure what attacks cost a server, and what other clients notice
    Attack(attack::Options),
    /// Compare the mirror's speed and size with those of other servers
    Bench(bench::Options),
    /// Look for inputs that break something, with cargo-fuzz
    Fuzz(fuzz::Options),
    /// Picture every page in every state, with Chromium
    Screenshots(screenshots::Options),
    /// Write what each program is made of into target/sbom, as `CycloneDX`
    Sbom,
    /// Print what CHANGELOG.md says of a release, if its tag is ready to be one
    Notes(notes::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(options) => up::up(&options),
        Command::Test(options) => test::test(&options),
        Command::Chaos(options) => chaos::chaos(&options),
        Command::Attack(options) => attack::attack(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Screenshots(options) => screenshots::screenshots(&options),
        Command::Sbom => sbom::sbom(),
        Command::Notes(options) => notes::notes(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("cargo xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs some work on its own runtime. An interrupt drops the work, and dropping it kills the
/// processes.
fn until_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::select! {
            outcome = work => outcome,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })
}

/// Prints a line. The line is lost if it cannot be written, for example because the terminal or the
/// pipe was closed.
fn say(line: impl Display) {
    _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line on standard error in the same way.
fn note(line: impl Display) {
    _ = writeln!(io::stderr(), "{line}");
}

/// The repository's top folder.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("lies in the workspace")
        .to_owned()
}
