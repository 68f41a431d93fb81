//! `cargo xtask fuzz`: looks for inputs that break a property which should hold.
//!
//! Runs one target after the other, on one core each. `target/fuzz/corpus` keeps what a run learns,
//! and the next run starts from it; `--keep` adds it to the repository. A failing input is left in
//! `testkit/fuzz/artifacts`. After the fix, put it into `testkit/fuzz/corpus`: from then on the
//! ordinary tests check it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::PossibleValuesParser;
use testkit::process::cargo;

/// The targets, and the longest input of each, in bytes.
const TARGETS: [(&str, usize); 4] = [
    ("answer", 1024),
    ("filter", 768),
    ("query", 512),
    ("snapshot", 3072),
];

/// The time limit for one input, in seconds. The slowest input takes a hundredth of a second.
const SLOWEST: u32 = 20;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: u32,
    /// Add the shortest inputs that reach everything which was reached to the repository's
    #[arg(long)]
    keep: bool,
    /// What to fuzz; all of them unless named
    #[arg(value_name = "TARGET", value_parser = PossibleValuesParser::new(TARGETS.map(|(name, _)| name)))]
    targets: Vec<String>,
}

/// Runs the targets; ends with the first that fails.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let has_fuzzer = cargo().args(["fuzz", "--version"]).output();
    if !has_fuzzer.is_ok_and(|output| output.status.success()) {
        bail!("cargo-fuzz is missing; install it: cargo install --locked cargo-fuzz");
    }
    for (target, longest) in TARGETS {
        if options.targets.is_empty() || options.targets.iter().any(|name| name == target) {
            let target = Target::new(target, longest);
            crate::say(format_args!(
                "\n== {} for {} min",
                target.name, options.minutes
            ));
            target.run(options.minutes)?;
            if options.keep {
                target.keep()?;
            }
        }
    }
    Ok(())
}

struct Target {
    name: &'static str,
    longest: usize,
    /// The corpus in the repository.
    kept: PathBuf,
    /// The inputs that runs on this machine have learnt.
    learnt: PathBuf,
}

impl Target {
    fn new(name: &'static str, longest: usize) -> Self {
        Self {
            name,
            longest,
            kept: folder().join("corpus").join(name),
            learnt: crate::top().join("target/fuzz/corpus").join(name),
        }
    }

    fn run(&self, minutes: u32) -> Result<()> {
        fs::create_dir_all(&self.learnt)?;
        let words = folder()
            .join("dictionaries")
            .join(format!("{}.dict", self.name));
        let mut run = self.command(&[&self.learnt, &self.kept]);
        run.arg(format!("-max_total_time={}", minutes * 60))
            .arg(format!("-timeout={SLOWEST}"))
            .arg(format!("-max_len={}", self.longest))
            .arg(format!("-dict={}", words.display()))
            .arg("-print_final_stats=1");
        self.call(run)
    }

    /// Keeps inputs for every edge in the code, without counting: a twentieth of what was learnt.
    fn keep(&self) -> Result<()> {
        let merged = self.learnt.with_extension("merged");
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged)?;
        let mut merge = self.command(&[&merged, &self.kept, &self.learnt]);
        merge.args(["-set_cover_merge=1", "-use_counters=0"]);
        self.call(merge)?;
        for input in fs::read_dir(&merged)? {
            let input = input?;
            fs::copy(input.path(), self.kept.join(input.file_name()))?;
        }
        Ok(())
    }

    /// No sanitizer: stable Rust has none, and code without `unsafe` has little use for one.
    fn command(&self, corpora: &[&PathBuf]) -> Command {
        let mut command = cargo();
        command
            .current_dir(crate::top())
            .args(["fuzz", "run", "--sanitizer", "none"])
            .args(["--fuzz-dir", "testkit/fuzz", "--target-dir", "target/fuzz"])
            .arg(self.name)
            .args(corpora)
            .arg("--");
        command
    }

    fn call(&self, mut command: Command) -> Result<()> {
        let status = command.status().context("cannot run cargo fuzz")?;
        ensure!(
            status.success(),
            "{}: {status}; the failing input is in testkit/fuzz/artifacts/{}",
            self.name,
            self.name
        );
        Ok(())
    }
}

fn folder() -> PathBuf {
    Path::new(&crate::top()).join("testkit/fuzz")
}
