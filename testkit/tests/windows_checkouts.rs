//! On Windows, Git can turn line ends into CRLF. A checkout there must have the same bytes as any
//! other, because containers run the scripts and tests compare bytes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;
use std::process::Command;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Fuzzing inputs, which may hold any bytes.
const CORPORA: &str = "testkit/fuzz/corpus/";

/// Clones with these settings, and returns the files' names and bytes.
fn clone(settings: &[&str]) -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings.iter().flat_map(|setting| ["-c", *setting]);
    let git = |what: &mut Command| {
        let output = what.output().expect("git can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(Command::new("git")
        .args(settings)
        .args(["clone", "--quiet", "--no-hardlinks", TOP])
        .arg(directory.path()));
    let names = git(Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(directory.path()));
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let names = names.split_terminator('\0');
    names.map(|name| (name.to_owned(), read(name))).collect()
}

#[test]
fn a_checkout_with_autocrlf_has_the_same_bytes() {
    if !Path::new(TOP).join(".git").exists() {
        testkit::skip("checkouts", "not a Git checkout");
        return;
    }
    let windows = clone(&["core.autocrlf=true", "core.eol=crlf"]);
    let elsewhere = clone(&["core.autocrlf=false", "core.eol=lf"]);
    assert_eq!(windows.len(), elsewhere.len());

    let (mut scripts, mut inputs) = (0, 0);
    for ((name, bytes), (same, expected)) in windows.iter().zip(&elsewhere) {
        assert_eq!(name, same);
        assert!(bytes == expected, "{name} differs");
        let has_crlf = bytes.windows(2).any(|pair| pair == b"\r\n");
        if name.starts_with(CORPORA) {
            inputs += usize::from(has_crlf);
        } else {
            let is_text = std::str::from_utf8(bytes).is_ok();
            assert!(!(is_text && has_crlf), "{name} has CRLF");
            scripts += usize::from(bytes.starts_with(b"#!"));
        }
    }
    assert!(scripts >= 3, "{scripts} scripts");
    assert!(inputs > 50, "{inputs} inputs with CRLF of their own");
}
