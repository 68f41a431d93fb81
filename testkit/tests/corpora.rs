//! Checks every input that fuzzing has kept, without a fuzzer.
#![expect(unreachable_pub, reason = "the module is a library elsewhere")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Checks each file of a corpus, and names the files that fail.
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut checked = 0;
    let mut failing = Vec::new();
    for entry in fs::read_dir(&corpus).expect("a committed corpus") {
        let path = entry.expect("a readable directory").path();
        let input = fs::read(&path).expect("a readable file");
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            failing.push(path);
        }
        checked += 1;
    }
    assert!(
        checked > 10,
        "only {checked} inputs in {}",
        corpus.display()
    );
    assert!(failing.is_empty(), "it does not hold for {failing:#?}");
    println!("{target}: {checked} inputs");
}

#[test]
fn answers() {
    replay("answer", fuzz::answer::check);
}

#[test]
fn requests() {
    replay("filter", fuzz::filter::check);
}

#[test]
fn queries() {
    replay("query", fuzz::query::check);
}

#[test]
fn stored_documents() {
    replay("snapshot", fuzz::snapshot::check);
}
