// The build scripts of both programs include this file. It sets `GHIBLI_VERSION`, such as
// `0.1.0 (abc1234)`: the commit is `GHIBLI_COMMIT`, or what git says, and is left out without both.

use std::path::Path;
use std::process::Command;

#[expect(
    clippy::disallowed_methods,
    reason = "the programs read their settings in one place; a build has none"
)]
fn main() {
    println!("cargo::rerun-if-env-changed=GHIBLI_COMMIT");
    let given = std::env::var("GHIBLI_COMMIT").unwrap_or_default();
    let commit = Some(given.trim().to_owned())
        .filter(|commit| !commit.is_empty())
        .or_else(commit);
    let version = env!("CARGO_PKG_VERSION");
    let version = commit.map_or(version.to_owned(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=GHIBLI_VERSION={version}");
}

/// The commit that is checked out here, if this is a checkout and git is installed.
fn commit() -> Option<String> {
    // In a release's archive that was unpacked inside another repository, the file is not tracked.
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    // Git writes to the log of HEAD with each commit and each checkout.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=7", "HEAD"])
}

/// What git prints; `None` if it is missing or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !printed.is_empty()).then_some(printed)
}
