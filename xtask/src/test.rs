//! `cargo xtask test`: everything that must hold, in the order of what is quickest to mend.
//!
//! Installs what is missing and can be installed, and says so. Nothing is skipped in silence;
//! with `CI=true` nothing is skipped at all.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use testkit::process::cargo;

/// Package managers, and how they install.
const PACKAGE_MANAGERS: [(&str, &[&str]); 4] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends"]),
    ("dnf", &["install", "--assumeyes"]),
    ("apk", &["add"]),
    ("brew", &["install"]),
];

/// How many random queries are compared with the software that the upstream runs.
const ORACLE_QUERIES: &str = "5000";

/// Runs everything, and stops at the first thing that does not hold.
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
    step("dependencies", deny)?;
    step("redis-server", redis)?;
    step("oracle", oracle)?;
    step("browser", browser)?;
    step("binaries", || {
        run(cargo().args(["build", "--locked", "--bins"]))
    })?;
    step("tests", || {
        let seed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let mut tests = cargo();
        tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        tests.env("GHIBLI_BIN_DIR", built());
        tests
            .env("ORACLE_SEEDS", seed.to_string())
            .env("ORACLE_QUERIES", ORACLE_QUERIES);
        run(&mut tests)
    })?;
    println!("\nall of it holds, in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Where the step before left the binaries.
fn built() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    crate::top().join(target).join("debug")
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n== {name}");
    let started = Instant::now();
    work().with_context(|| format!("{name} failed"))?;
    println!("== {name}: passed in {} s", started.elapsed().as_secs());
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// Licences, sources and banned crates of all dependencies.
fn deny() -> Result<()> {
    if !is_installed("cargo-deny") {
        if !is_ci() {
            println!("skipped: cargo-deny is missing; cargo install --locked cargo-deny");
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

/// The tests start servers of their own; what they need is the program.
fn redis() -> Result<()> {
    install("redis-server", &["redis-server"], "redis")
}

/// The software that the upstream runs, to compare answers with.
fn oracle() -> Result<()> {
    if !is_installed("npm") {
        if !is_ci() {
            println!("skipped: npm is missing; recorded answers are compared instead");
            return Ok(());
        }
        install("npm", &["npm"], "npm")?;
    }
    let folder = crate::top().join("testkit/oracle");
    run(Command::new("npm")
        .args(["ci", "--silent", "--no-audit", "--no-fund"])
        .current_dir(folder))
}

/// Chromium, and what drives it, to look at the pages.
fn browser() -> Result<()> {
    let debian = ["chromium", "chromium-driver"];
    match install("chromedriver", &debian, "chromedriver") {
        Err(error) if !is_ci() => {
            println!("skipped: no browser; {error:#}");
            Ok(())
        }
        outcome => outcome,
    }
}

/// With `CI=true` a skipped part is a failure.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Installs a program with the package manager that there is: from these packages of Debian, or
/// from the package that has it elsewhere.
fn install(program: &str, debian: &[&str], elsewhere: &str) -> Result<()> {
    if is_installed(program) {
        return Ok(());
    }
    let Some((manager, arguments)) = PACKAGE_MANAGERS
        .into_iter()
        .find(|(manager, _)| is_installed(manager))
    else {
        bail!("{program} is missing and there is no package manager known here; install it");
    };
    let elsewhere = [elsewhere];
    let packages = if manager == "apt-get" {
        debian
    } else {
        &elsewhere
    };
    println!(
        "{program} is missing; installing it: {manager} {} {}",
        arguments.join(" "),
        packages.join(" ")
    );
    if manager == "apt-get" {
        // A new machine has no package lists yet.
        run(Command::new(manager).args(["update", "-qq"]))?;
    }
    let mut install = Command::new(manager);
    install.args(arguments).args(packages);
    // Debian would start a server at once, which nobody asked for.
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    run(&mut install)
        .with_context(|| format!("install {program} yourself, then run this again"))?;
    ensure!(is_installed(program), "{manager} installed no {program}");
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
