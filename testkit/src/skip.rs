//! Tests that this machine cannot run. They say so; in continuous integration they fail instead.
//!
//! A test runner hides the output of a passing test, so `cargo xtask test` names a file for these
//! lines (`GHIBLI_SKIPPED`) and shows it at the end.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Whether this is continuous integration (`CI=true`), which skips nothing.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Reports that a part of the tests is skipped, and why. The caller then returns.
///
/// `GHIBLI_LEFT_OUT` names the parts that continuous integration may skip as well, with commas.
///
/// # Panics
///
/// In continuous integration, unless the part may be left out.
pub fn skip(part: &str, why: &str) {
    let allowed = std::env::var_os("GHIBLI_LEFT_OUT").unwrap_or_default();
    let is_allowed = allowed.to_string_lossy().split(',').any(|it| it == part);
    assert!(!is_ci() || is_allowed, "{part} cannot be skipped: {why}");
    let line = format!("skipped: {part}: {why}\n");
    eprint!("{line}");
    let Some(file) = std::env::var_os("GHIBLI_SKIPPED") else {
        return;
    };
    // One write, because several tests append at the same time.
    let file = OpenOptions::new().append(true).create(true).open(file);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the file of GHIBLI_SKIPPED can be written");
}
