//! The lanes: parts of `cargo xtask test` that run alone, for a quick answer or on machines of their
//! own. Owns which test belongs to which lane. Never runs a test.
//!
//! The tests are all test targets that Cargo finds. A target that no row of [`NAMED`] names is in
//! the lane `integration`, so a new file is never left out.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

/// A part of the checks. All lanes together are everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lane {
    /// Formatting, lints, unit, property and snapshot tests, and one pass through a whole mirror
    Quick,
    /// Docs, licences, and every test that no other lane has
    Integration,
    /// The pages in Chromium
    Browser,
    /// The images, on a Docker engine
    Compose,
    /// Random troubles for minutes
    Soak,
}

pub(crate) const ALL: &[Lane] = &[
    Lane::Quick,
    Lane::Integration,
    Lane::Browser,
    Lane::Compose,
    Lane::Soak,
];

/// The test targets of each lane but `integration`. The lane `quick` has all unit tests too.
const NAMED: [(Lane, &[&str]); 4] = [
    (
        Lane::Quick,
        &["client", "corpora", "history", "mirror", "query", "supply"],
    ),
    (Lane::Browser, &["browser"]),
    (Lane::Compose, &["compose"]),
    (Lane::Soak, &["chaos"]),
];

/// Cargo's arguments that select the tests of these lanes.
pub(crate) fn selection(lanes: &[Lane]) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    if lanes.contains(&Lane::Quick) {
        arguments.extend(["--lib", "--bins"].map(str::to_owned));
    }
    for target in test_targets()? {
        if lanes.contains(&lane_of(&target)) {
            arguments.extend(["--test".to_owned(), target]);
        }
    }
    Ok(arguments)
}

fn lane_of(target: &str) -> Lane {
    let names = |(_, targets): &&(Lane, &[&str])| targets.contains(&target);
    NAMED
        .iter()
        .find(names)
        .map_or(Lane::Integration, |(lane, _)| *lane)
}

/// The names of the workspace's test targets. Two packages may have a target of the same name; both
/// are in the same lane.
fn test_targets() -> Result<BTreeSet<String>> {
    let mut ask = cargo_metadata::MetadataCommand::new();
    ask.current_dir(crate::top()).no_deps();
    ask.other_options(["--locked".to_owned()]);
    let workspace = ask.exec().context("cargo metadata failed")?;
    let packages = workspace.packages.into_iter();
    let targets: BTreeSet<_> = packages
        .flat_map(|package| package.targets)
        .filter(cargo_metadata::Target::is_test)
        .map(|target| target.name)
        .collect();
    for name in NAMED.iter().flat_map(|(_, targets)| *targets) {
        ensure!(targets.contains(*name), "a lane names {name}, no test");
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_is_in_one_lane() {
        let each: Vec<_> = ALL
            .iter()
            .map(|lane| selection(&[*lane]).expect("a selection"))
            .collect();
        assert!(each.iter().all(|arguments| !arguments.is_empty()));
        let mut each = each.concat();
        let mut all = selection(ALL).expect("a selection");
        each.sort();
        all.sort();
        assert_eq!(each, all);
        let targets = test_targets().expect("targets").len();
        assert_eq!(all.len(), 2 * targets + 2, "--lib, --bins, each --test");
    }
}
