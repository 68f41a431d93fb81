//! `cargo xtask test`: everything that must hold, in the order of what is quickest to mend.
//!
//! Installs what is missing and can be installed, and says so. Nothing is skipped in silence;
//! with `CI=true` nothing is skipped at all.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use testkit::process::cargo;

/// Package managers, what installs with them, and what Redis is called there.
const PACKAGE_MANAGERS: [(&str, &[&str]); 4] = [
    (
        "apt-get",
        &[
            "install",
            "--yes",
            "--no-install-recommends",
            "redis-server",
        ],
    ),
    ("dnf", &["install", "--assumeyes", "redis"]),
    ("apk", &["add", "redis"]),
    ("brew", &["install", "redis"]),
];

/// Runs everything, and stops at the first thing that does not hold.
pub(crate) fn test() -> Result<()> {
    let started = Instant::now();
    step("formatting", || {
        run(cargo().args(["fmt", "--all", "--check"]))
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
    step("redis-server", redis)?;
    step("binaries", || {
        run(cargo().args(["build", "--locked", "--bins"]))
    })?;
    step("tests", || {
        let quietly = ["test", "--workspace", "--locked", "--no-fail-fast"];
        run(cargo().args(quietly).env("GHIBLI_BIN_DIR", built()))
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

/// The tests start servers of their own; what they need is the program.
fn redis() -> Result<()> {
    if is_installed("redis-server") {
        return Ok(());
    }
    for (manager, arguments) in PACKAGE_MANAGERS {
        if is_installed(manager) {
            println!(
                "redis-server is missing; installing it: {manager} {}",
                arguments.join(" ")
            );
            if manager == "apt-get" {
                // A new machine has no package lists yet.
                run(Command::new(manager).arg("update").arg("-qq"))?;
            }
            let mut install = Command::new(manager);
            // Debian would start a server at once, which nobody asked for.
            install
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .env("RUNLEVEL", "1");
            run(&mut install).context("install redis-server yourself, then run this again")?;
            ensure!(
                is_installed("redis-server"),
                "{manager} installed no redis-server"
            );
            return Ok(());
        }
    }
    bail!("redis-server is missing and there is no package manager known here; install it")
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
