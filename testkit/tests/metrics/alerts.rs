//! The alerts of `deploy/prometheus`: promtool accepts and tests them, each has a test and an entry in
//! the runbook, and they ask only for metrics that exist.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::exposed::{DOCUMENT, documented};
use crate::{FOLDER, has};

pub(crate) const RULES: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const TESTS: &str = include_str!("../../../deploy/prometheus/alerts_test.yml");

/// The first group of each match.
pub(crate) fn found<'t>(pattern: &str, text: &'t str) -> Vec<&'t str> {
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(text);
    found.map(|it| it.extract::<1>().1[0]).collect()
}

/// The name of each alert, with the text of its rule.
pub(crate) fn rules() -> Vec<(&'static str, &'static str)> {
    let rules = RULES.split("- alert: ").skip(1);
    rules.map(|rule| rule.split_once('\n').unwrap()).collect()
}

/// Runs promtool in a folder. Returns what it printed, and whether it found no fault.
fn promtool(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

#[test]
fn promtool_accepts_the_configuration_and_the_alerts_pass_their_tests() {
    if !has("promtool") {
        return;
    }
    let folder = Path::new(FOLDER).join("prometheus");
    for args in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let (passed, said) = promtool(&folder, &args);
        assert!(passed, "{args:?}: {said}");
    }

    // The tests must be able to fail, for every duration that an alert waits.
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("alerts_test.yml"), TESTS).unwrap();
    for wait in BTreeSet::from_iter(found(r"( for: \w+)", RULES)) {
        let at_once = RULES.replace(wait, " for: 0s");
        std::fs::write(copy.path().join("alerts.yml"), at_once).unwrap();
        let (passed, said) = promtool(copy.path(), &["test", "rules", "alerts_test.yml"]);
        assert!(!passed, "nothing needs{wait}: {said}");
    }
}

#[test]
fn every_alert_has_a_severity_a_test_and_an_entry_in_the_runbook() {
    let (_, runbook) = DOCUMENT.split_once("\n## Alerts\n").unwrap();
    let runbook = runbook.split("\n## ").next().unwrap();
    let mut entries = runbook.split("\n### ").skip(1);
    for (alert, rule) in rules() {
        let severity = found(r"severity: (\w+)", rule);
        assert!(severity == ["page"] || severity == ["warn"], "{alert}");
        for annotation in ["summary: ", "description: "] {
            assert_eq!(rule.matches(annotation).count(), 1, "{alert} {annotation}");
        }
        let link = format!("docs/operations.md#{}", alert.to_lowercase());
        assert_eq!(found(r"runbook_url: (\S+)", rule), [link]);

        // In the order of the rules.
        let entry = entries.next().unwrap_or_default();
        let begin = format!("{alert}\n\n`{}`: ", severity[0]);
        assert!(entry.starts_with(&begin), "{begin}is not {entry}");
        for part in ["- **Look at** ", "- **Do**: ", "- **Ends** "] {
            assert_eq!(entry.matches(part).count(), 1, "{alert} {part}");
        }

        let tests = TESTS.split("\n  - name: ");
        let mut own = tests.filter(|test| test.starts_with(&format!("{alert}\n")));
        let test = own.next().unwrap_or_default();
        let fires = format!("alertname=\"{alert}\", alertstate=\"firing\"");
        assert!(
            test.contains(&fires) || test.contains("exp_labels"),
            "no test in which {alert} fires"
        );
    }
    assert_eq!(entries.next(), None, "no alert has this entry");
}

#[test]
fn the_alerts_ask_only_for_metrics_that_exist() {
    let known = [documented("poller"), documented("server")];
    let named: BTreeSet<_> = rules()
        .into_iter()
        .flat_map(|(_, rule)| found(r"\b(ghibli_\w+)", rule))
        .collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        assert!(known.iter().any(|all| all.contains_key(name)), "{name}");
    }
}
