//! Each fault of the table in `docs/operations.md`, injected into a real mirror that a real Prometheus
//! watches: what the log, the metrics, the alerts and `/status` say of it.
//!
//! `UPDATE_DOCS=1` writes the table. Time runs faster than for operators: a sync each second, and a
//! thirtieth of each duration in the alerts, whose own test uses the true ones.

mod stack;
mod table;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::{FutureExt, StreamExt, stream};
use regex::{Captures, Regex};
use serde_json::Value;
use testkit::document::{Section, from_nine};
use testkit::edge::can_stand;
use testkit::{TIME_LIMIT, eventually, skip};

use crate::alerts::{RULES, rules};
use crate::has;
use stack::Stack;
use table::{Change, ROWS, Row};

const BEGIN: &str =
    "<!-- faults: written by UPDATE_DOCS=1 cargo test -p testkit --test metrics -->\n\n";
const END: &str = "\n<!-- /faults -->\n";

/// How much faster than for operators time runs.
const FASTER: u64 = 30;

/// The status counts a sync as missing 90 s after it was due.
const LONG: Duration = Duration::from_secs(150);

/// What changes with each sync has stopped when it has not changed for so long.
const STILL: Duration = Duration::from_secs(4);

/// The time for a step of a fault.
const STEP: Duration = Duration::from_mins(1);

/// The rules with every duration divided.
fn faster_rules() -> String {
    let duration = Regex::new(r"(for: |\[)(\d+)([mh])").unwrap();
    let divided = |found: &Captures<'_>| {
        let unit = if &found[3] == "h" { 3_600_000 } else { 60_000 };
        let whole: u64 = found[2].parse().unwrap();
        format!("{}{}ms", &found[1], whole * unit / FASTER)
    };
    let rules = duration.replace_all(RULES, divided);
    assert_eq!(rules.matches("> 300\n").count(), 1);
    rules.replace("> 300\n", &format!("> {}\n", 300 / FASTER))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_shows_in_log_metrics_alerts_and_status() {
    if !has("prometheus") {
        return;
    }
    if !can_stand() {
        return skip("metrics", "traefik is missing");
    }
    let rules = faster_rules();
    // All faults are looked at before the test fails.
    let rows: Vec<_> = stream::iter(&ROWS)
        .map(|row| AssertUnwindSafe(observed(row, &rules)).catch_unwind())
        .buffered(10)
        .collect()
        .await;
    let failed: Vec<_> = ROWS
        .iter()
        .zip(&rows)
        .filter_map(|(row, observed)| Some((row.title, panic_message(observed.as_ref().err()?))))
        .collect();
    assert!(failed.is_empty(), "faults that did not show: {failed:#?}");
    let mut text = String::from(
        "| fault | clients get | log | metrics | alerts | `/status` | ends with |\n\
         |---|---|---|---|---|---|---|\n",
    );
    text.extend(rows.into_iter().flatten());
    let section = Section::read("operations.md", BEGIN, END);
    if section.update(&text) {
        return;
    }
    let lines: BTreeMap<_, _> = section
        .text
        .lines()
        .map(|line| (cell(line), line))
        .collect();
    assert_eq!(lines.len(), ROWS.len() + 2, "rows in docs/operations.md");
    for row in &ROWS {
        let line = lines
            .get(row.title)
            .unwrap_or_else(|| panic!("{}", row.title));
        let (_, end) = row.end.unwrap_or_default();
        let events = row.log.iter().chain(end).map(|(_, event)| *event);
        let series = row.metrics.iter().map(|(_, series, _)| *series);
        let named = events.chain(series).chain(row.alerts.iter().copied());
        for name in named {
            assert!(line.contains(&format!("`{name}`")), "{name} in {line}");
        }
        let (_, sentence) = row.status.unwrap_or_default();
        assert!(line.contains(sentence), "{sentence} in {line}");
    }
}

#[test]
fn each_alert_has_a_fault_that_raises_it() {
    let raised: BTreeSet<_> = ROWS.iter().flat_map(|row| row.alerts).copied().collect();
    let all: BTreeSet<_> = rules().into_iter().map(|(alert, _)| alert).collect();
    assert_eq!(raised, all);
}

fn panic_message(panic: &Box<dyn Any + Send>) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied())
        .unwrap_or_default()
}

/// The first cell of a row.
fn cell(line: &str) -> &str {
    line.trim_start_matches("| ").split(" |").next().unwrap()
}

/// Injects a fault, and waits for all that it must show. Returns the row of the table.
async fn observed(row: &Row, rules: &str) -> String {
    let mut stack = Stack::start(row.trouble, rules).await;
    let (title, start) = (row.title, Utc::now().time());
    let marks: BTreeMap<_, _> = stack
        .members
        .iter()
        .map(|(name, it)| (*name, it.process.mark()))
        .collect();
    let mut before = BTreeMap::new();
    for (name, member) in &stack.members {
        before.insert(*name, member.metrics().await);
    }
    stack.inject(row.trouble).await;
    let logged = async |stack: &Stack, name: &'static str, event: &str, marks: &BTreeMap<_, _>| {
        let mark = marks.get(name).copied().unwrap_or_default();
        let log = &stack.members[name].process;
        log.wait_for_log_since(mark, event, |_| true).await
    };
    let mut lines = Vec::new();
    for (name, event) in row.log {
        lines.push((*name, logged(&stack, name, event, &marks).await));
    }

    let client = row.status.map_or("reader", |(name, _)| name);
    eventually(&format!("{title}: {:?}", row.alerts), STEP, async || {
        stack.request_as_client(client).await;
        let firing = stack.prometheus.firing().await;
        row.alerts
            .iter()
            .all(|alert| firing.iter().any(|it| it == alert))
    })
    .await;
    for (name, series, change) in row.metrics {
        let before = before.get(name).and_then(|it| it.get(*series)).copied();
        let mut last = (None, Instant::now());
        eventually(
            &format!("{title}: {series} {change:?}"),
            TIME_LIMIT,
            async || {
                let now = stack.members[name].metrics().await.get(*series).copied();
                if now != last.0 {
                    last = (now, Instant::now());
                }
                match change {
                    Change::Rises => now > before,
                    Change::Becomes(value) => now == Some(*value) && before != now,
                    Change::Stops => last.1.elapsed() > STILL,
                }
            },
        )
        .await;
    }
    let mut sentence = String::new();
    if let Some((name, beginning)) = row.status {
        sentence = eventually(&format!("{title}: {beginning}"), LONG, async || {
            let sentence = stack.sentence(name).await;
            sentence.starts_with(beginning).then_some(sentence)
        })
        .await;
    }
    assert_eq!(
        stack.request_as_client(client).await,
        row.clients,
        "{title}"
    );

    let mut ends = Vec::new();
    if let Some((_, events)) = row.end {
        let members = stack.members.iter();
        let marks = members
            .map(|(name, it)| (*name, it.process.mark()))
            .collect();
        stack.mend(row.trouble).await;
        for (name, event) in events {
            ends.push((*name, logged(&stack, name, event, &marks).await));
        }
    }
    let text = text(row, &lines, &sentence, &ends);
    let mut text = text.replace(&stack.upstream.url(), "https://ghibliapi.example");
    for (name, member) in &stack.members {
        for line in member.process.logs() {
            if line["event"] == "lease_taken" {
                text = text.replace(line["holder"].as_str().unwrap(), name);
            }
        }
    }
    let date = Regex::new(r"\d{4}-\d\d-\d\d (\d\d:)").unwrap();
    from_nine(&date.replace_all(&text, "$1"), start)
}

/// The row in Markdown.
fn text(row: &Row, lines: &[(&str, Value)], sentence: &str, ends: &[(&str, Value)]) -> String {
    let line = |(name, line): &(&str, Value)| {
        let (level, message) = (&line["level"], line["message"].as_str().unwrap());
        let (event, level) = (line["event"].as_str().unwrap(), level.as_str().unwrap());
        format!("`{event}` ({name}, {}): {message}", level.to_lowercase())
    };
    let metric = |(name, series, change): &(&str, &str, Change)| {
        let change = match change {
            Change::Rises => "rises".to_owned(),
            Change::Becomes(value) => format!("becomes {value}"),
            Change::Stops => "stops".to_owned(),
        };
        format!("`{series}` ({name}) {change}")
    };
    let alert = |alert: &&str| format!("[`{alert}`](#{})", alert.to_lowercase());
    let mut log: Vec<_> = lines.iter().map(line).collect();
    if log.is_empty() {
        log.push("nothing".to_owned());
    }
    let mut alerts: Vec<_> = row.alerts.iter().map(alert).collect();
    if alerts.is_empty() {
        alerts.push("none".to_owned());
    }
    let mut end: Vec<_> = row.end.iter().map(|(what, _)| format!("{what}:")).collect();
    end.extend(ends.iter().map(line));
    let cells = [
        row.title.to_owned(),
        row.clients.to_owned(),
        log.join("<br>"),
        row.metrics
            .iter()
            .map(metric)
            .collect::<Vec<_>>()
            .join("<br>"),
        alerts.join("<br>"),
        sentence.to_owned(),
        end.join("<br>"),
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}
