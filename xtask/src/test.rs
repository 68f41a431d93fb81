//! `cargo xtask test`: runs all checks; those whose failures are quickest to fix come first.
//!
//! Installs what is missing and can be installed, and says so. Reports everything that it skips;
//! with `CI=true` it skips nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use testkit::chaos::clocks_can_be_wrong;
use testkit::process::{build, cargo};
use testkit::{edge, is_ci, skip};

use crate::install::{install, is_installed, run};
use crate::lanes::{self, Lane};
use crate::say;

/// How many random queries to compare with the software that the upstream runs.
const ORACLE_QUERIES: &str = "5000";

/// How long troubles last when nobody watches. The seed is fixed: unchanged code must not fail
/// because of a random number.
const CHAOS_MINUTES: &str = "5";

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Only what answers at once, for before a commit; the same as `--lane quick`
    #[arg(long, conflicts_with = "lane")]
    quick: bool,
    /// Only this lane
    #[arg(long, value_enum)]
    lane: Option<Lane>,
}

/// A check besides the tests, or what the tests need; for which lanes; and how it is done.
type Step = (&'static str, &'static [Lane], fn() -> Result<()>);

const STEPS: [Step; 10] = [
    ("formatting", &[Lane::Quick], formatting),
    ("lints", &[Lane::Quick], lints),
    ("docs", &[Lane::Integration], docs),
    ("dependencies", &[Lane::Integration], dependencies),
    ("redis-server", &[Lane::Integration, Lane::Soak], redis),
    ("prometheus", &[Lane::Integration], prometheus),
    ("oracle", &[Lane::Integration], oracle),
    ("clocks and edge", &[Lane::Integration, Lane::Soak], chaos),
    ("browser", &[Lane::Browser], browser),
    ("binaries", lanes::ALL, binaries),
];

/// Runs the checks of the chosen lanes, or of all lanes, and stops at the first failure.
pub(crate) fn test(options: &Options) -> Result<()> {
    let started = Instant::now();
    let lane = options.lane.or(options.quick.then_some(Lane::Quick));
    let lanes = lane.as_ref().map_or(lanes::ALL, std::slice::from_ref);
    for (name, of, work) in STEPS {
        if of.iter().any(|lane| lanes.contains(lane)) {
            step(name, work)?;
        }
    }
    step("tests", || tests(lanes))?;
    say(format_args!(
        "\nall of it holds, in {} s",
        started.elapsed().as_secs()
    ));
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    say(format_args!("\n== {name}"));
    let started = Instant::now();
    work().with_context(|| format!("{name} failed"))?;
    say(format_args!(
        "== {name}: passed in {} s",
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// Runs the tests of these lanes: with nextest where it is installed, so that tests of different
/// files run at the same time; otherwise with Cargo's own runner.
fn tests(lanes: &[Lane]) -> Result<()> {
    let mut tests = cargo();
    if is_installed("cargo-nextest") {
        tests.args(["nextest", "run", "--locked"]);
    } else {
        say("cargo-nextest is missing; tests of different files wait for each other");
        tests.arg("test");
    }
    tests.args(["--workspace", "--no-fail-fast"]);
    tests.args(lanes::selection(lanes)?);
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let skipped = target().join("skipped.txt");
    std::fs::write(&skipped, "")?;
    tests
        .env("GHIBLI_BIN_DIR", tested())
        .env("GHIBLI_SKIPPED", &skipped)
        .env("ORACLE_SEEDS", seed.to_string())
        .env("ORACLE_QUERIES", ORACLE_QUERIES);
    if is_ci() {
        tests.env("GHIBLI_CHAOS_MINUTES", CHAOS_MINUTES);
    }
    let outcome = run(&mut tests);
    say(std::fs::read_to_string(skipped)?.trim_end());
    outcome
}

fn formatting() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    let fuzzers = ["--manifest-path", "testkit/fuzz/Cargo.toml"];
    run(cargo().arg("fmt").args(fuzzers).arg("--check"))
}

fn lints() -> Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet"];
    run(cargo().args(clippy).args(["--", "--deny", "warnings"]))
}

fn docs() -> Result<()> {
    let doc = ["doc", "--workspace", "--no-deps", "--quiet"];
    run(cargo()
        .args(doc)
        .arg("--document-private-items")
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))
}

/// Builds the programs as `up` does, so that the tests of `up` need not compile them. Copies them
/// to a folder where no later build replaces them while they run.
fn binaries() -> Result<()> {
    run(&mut build(false))?;
    let folder = tested();
    std::fs::create_dir_all(&folder)?;
    for program in ["ghibli-poller", "ghibli-server"] {
        let built = target().join("debug").join(program);
        replace(&built, &folder.join(program))?;
    }
    Ok(())
}

/// Replaces a program in one step: another run of this command may just start it.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    std::fs::copy(from, &new)?;
    Ok(std::fs::rename(new, to)?)
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    crate::top().join(target)
}

/// The folder with the programs that the tests run.
fn tested() -> PathBuf {
    target().join("tested")
}

/// Checks the licences, sources and bans of all dependencies, and whether the fuzzers' lock file is
/// current; no other check reads that file.
fn dependencies() -> Result<()> {
    let fuzzers = ["fetch", "--manifest-path", "testkit/fuzz/Cargo.toml"];
    run(cargo().args(fuzzers).arg("--quiet"))?;
    if !is_installed("cargo-deny") {
        if !is_ci() {
            skip("dependencies", "cargo install --locked cargo-deny");
            return Ok(());
        }
        run(cargo().args(["install", "--locked", "cargo-deny"]))?;
    }
    let checks = ["check", "bans", "licenses", "sources"];
    run(cargo().args(["deny", "--log-level", "error"]).args(checks))
}

/// The tests start their own servers; they need only the program.
fn redis() -> Result<()> {
    let is_there = || is_installed("redis-server");
    install("redis-server", &["redis-server"], "redis", is_there)
}

/// Prometheus, to scrape the programs, and its promtool, to test the alerts.
fn prometheus() -> Result<()> {
    let is_there = || is_installed("promtool") && is_installed("prometheus");
    let installed = install("prometheus", &["prometheus"], "prometheus", is_there);
    or_skip("prometheus", installed)
}

/// The software that the upstream runs, to compare its answers with ours.
fn oracle() -> Result<()> {
    if !is_installed("npm") {
        if !is_ci() {
            // The test itself says that it is skipped.
            return Ok(());
        }
        install("npm", &["npm"], "npm", || is_installed("npm"))?;
    }
    let folder = crate::top().join("testkit/oracle");
    run(Command::new("npm")
        .args(["ci", "--silent", "--no-audit", "--no-fund"])
        .current_dir(folder))
}

/// The tools that make clocks wrong, and the proxy in front of the readers.
fn chaos() -> Result<()> {
    if is_ci() {
        let debian = ["libfaketime"];
        install("libfaketime", &debian, "libfaketime", clocks_can_be_wrong)?;
        ensure!(edge::can_stand(), "traefik is missing");
    }
    Ok(())
}

/// Chromium and its driver, to check the pages.
pub(crate) fn browser() -> Result<()> {
    let debian = ["chromium", "chromium-driver"];
    let is_there = || is_installed("chromedriver");
    let installed = install("chromedriver", &debian, "chromedriver", is_there);
    or_skip("browser", installed)
}

/// Outside of continuous integration, what cannot be installed is skipped.
fn or_skip(part: &str, installed: Result<()>) -> Result<()> {
    match installed {
        Err(error) if !is_ci() => {
            skip(part, &format!("{error:#}"));
            Ok(())
        }
        outcome => outcome,
    }
}
