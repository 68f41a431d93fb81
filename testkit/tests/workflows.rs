//! The workflows of `.github`: actionlint finds nothing wrong with them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;

use testkit::process::installed;
use testkit::skip;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What actionlint finds wrong, and whether it finds nothing.
fn lint(arguments: &[&str]) -> (String, bool) {
    let mut lint = Command::new("actionlint");
    lint.args(["-no-color", "-oneline"]).args(arguments);
    let output = lint.current_dir(TOP).output().unwrap();
    let found = [output.stdout, output.stderr].concat();
    let found = String::from_utf8(found).unwrap();
    (found, output.status.success())
}

#[test]
fn actionlint_finds_nothing_wrong() {
    if installed("actionlint").next().is_none() {
        skip("workflows", "actionlint is missing; .ci/run installs it");
        return;
    }
    assert_eq!(lint(&[]), (String::new(), true));

    // The check must be able to fail.
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.yml");
    let workflow = std::fs::read_to_string(format!("{TOP}/.github/workflows/release.yml")).unwrap();
    std::fs::write(&wrong, workflow.replace("needs: draft", "needs: draught")).unwrap();
    let (found, is_clean) = lint(&[wrong.to_str().unwrap()]);
    assert!(found.contains("draught") && !is_clean, "{found}");
}
