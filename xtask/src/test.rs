//! `cargo xtask test`: runs all checks; those whose failures are quickest to fix come first.
//!
//! Installs what is missing and can be installed, and says so. Reports everything that it skips;
//! with `CI=true` it skips nothing.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use testkit::chaos::{clocks_can_be_wrong, left_out};
use testkit::process::cargo;

use crate::install::{install, is_installed, run};
use crate::say;
use crate::up;

/// How many random queries to compare with the software that the upstream runs.
const ORACLE_QUERIES: &str = "5000";

/// How long troubles last when nobody watches. The seed is fixed: unchanged code must not fail
/// because of a random number.
const CHAOS_MINUTES: &str = "5";

/// Runs all checks, and stops at the first failure.
pub(crate) fn test() -> Result<()> {
    let started = Instant::now();
    step("formatting", || {
        run(cargo().args(["fmt", "--all", "--check"]))?;
        run(cargo().args([
            "fmt",
            "--manifest-path",
            "testkit/fuzz/Cargo.toml",
            "--check",
        ]))
    })?;
    step("lints", || {
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
        ];
        run(cargo().args(clippy).args(["--", "--deny", "warnings"]))
    })?;
    step("docs", || {
        let doc = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
        run(cargo()
            .args(doc)
            .arg("--document-private-items")
            .env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("dependencies", dependencies)?;
    step("redis-server", redis)?;
    step("oracle", oracle)?;
    step("chaos", chaos)?;
    step("browser", browser)?;
    step("binaries", binaries)?;
    step("tests", || {
        let seed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let mut tests = cargo();
        tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        tests.env("GHIBLI_BIN_DIR", tested());
        tests
            .env("ORACLE_SEEDS", seed.to_string())
            .env("ORACLE_QUERIES", ORACLE_QUERIES);
        if is_ci() {
            tests.env("GHIBLI_CHAOS_MINUTES", CHAOS_MINUTES);
        }
        run(&mut tests)
    })?;
    say(format_args!(
        "\nall of it holds, in {} s",
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// Builds the programs as `up` does, so that the tests of `up` need not compile them. Copies them
/// to a folder where no later build replaces them while they run.
fn binaries() -> Result<()> {
    run(cargo().args(up::BUILD))?;
    let folder = tested();
    std::fs::create_dir_all(&folder)?;
    for program in ["ghibli-poller", "ghibli-server"] {
        let built = target().join("debug").join(program);
        std::fs::copy(built, folder.join(program))?;
    }
    Ok(())
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    crate::top().join(target)
}

/// The folder with the programs that the tests run.
fn tested() -> PathBuf {
    target().join("tested")
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

/// Checks the licences, sources and bans of all dependencies, and whether the fuzzers' lock file is
/// current; no other check reads that file.
fn dependencies() -> Result<()> {
    let fuzzers = ["fetch", "--manifest-path", "testkit/fuzz/Cargo.toml"];
    run(cargo().args(fuzzers).args(["--locked", "--quiet"]))?;
    if !is_installed("cargo-deny") {
        if !is_ci() {
            say("skipped: cargo-deny is missing; cargo install --locked cargo-deny");
            return Ok(());
        }
        run(cargo().args(["install", "--locked", "cargo-deny"]))?;
    }
    run(cargo().args([
        "deny",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// The tests start their own servers; they need only the program.
fn redis() -> Result<()> {
    let is_there = || is_installed("redis-server");
    install("redis-server", &["redis-server"], "redis", is_there)
}

/// The software that the upstream runs, to compare its answers with ours.
fn oracle() -> Result<()> {
    if !is_installed("npm") {
        if !is_ci() {
            say("skipped: npm is missing; recorded answers are compared instead");
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
    }
    let left_out = left_out();
    ensure!(left_out.is_empty() || !is_ci(), "{}", left_out.join("; "));
    for left_out in left_out {
        say(left_out);
    }
    Ok(())
}

/// Chromium and its driver, to check the pages.
fn browser() -> Result<()> {
    let debian = ["chromium", "chromium-driver"];
    let is_there = || is_installed("chromedriver");
    match install("chromedriver", &debian, "chromedriver", is_there) {
        Err(error) if !is_ci() => {
            say(format_args!("skipped: no browser; {error:#}"));
            Ok(())
        }
        outcome => outcome,
    }
}

/// Reports a skipped check; with `CI=true` it is a failure.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
