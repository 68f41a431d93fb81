//! A day of trouble, compressed: few log lines, and they alone say what happened and when.
//!
//! `UPDATE_DOCS=1` writes the log into `docs/operations.md`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use regex::Regex;
use serde_json::Value;
use shared::service::telemetry::events;
use testkit::catalogue;
use testkit::document::{Section, from_nine};
use testkit::process::{Poller, Process, RunningPoller, Server, Signal};
use testkit::redis::Redis;
use testkit::upstream::{Fault, Upstream};

const BEGIN: &str = "<!-- day: written by UPDATE_DOCS=1 cargo test -p testkit --test day_of_trouble -->\n\n```text\n";
const END: &str = "```\n\n<!-- /day -->\n";

/// What the log says of each trouble, in this order.
const TROUBLES: [(&str, &str, &str); 6] = [
    ("leader", "upstream_degraded", "upstream_recovered"),
    ("leader", "answer_rejected", "answer_accepted"),
    ("leader", "cache_lost", "cache_rebuilt"),
    ("standby", "standby", "lease_taken"),
    ("reader", "server_started", "server_ready"),
    ("reader", "draining", "stopped"),
];

/// One process's log.
type Log = Vec<Value>;

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_trouble_takes_fewer_than_forty_lines() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &redis.url()).schedule("* * * * * *");
    let mut leader = poller.start().await;
    leader.synced("committed").await;
    let mut standby = poller.start().await;
    standby.process.wait_for_log("standby", |_| true).await;
    let mut reader = Server::new(&redis.url()).start().await;
    reader.loaded().await;

    between_syncs(&leader).await;
    upstream.go_down();
    logs(&leader, "upstream_degraded").await;
    logs(&leader, "backoff").await;
    upstream.come_back();
    logs(&leader, "upstream_recovered").await;

    between_syncs(&leader).await;
    upstream.misbehave(Fault::Html);
    logs(&leader, "answer_rejected").await;
    // Garbage in more than one cycle is one line.
    between_syncs(&leader).await;
    upstream.behave();
    logs(&leader, "answer_accepted").await;

    between_syncs(&leader).await;
    let mark = leader.process.mark();
    let films = catalogue()["films"].as_array().unwrap().clone();
    upstream.replace("films", films[..11].to_vec());
    let log = &leader.process;
    log.wait_for_log_since(mark, "answer_rejected", |_| true)
        .await;
    between_syncs(&leader).await;
    upstream.replace("films", films);
    log.wait_for_log_since(mark, "answer_accepted", |_| true)
        .await;

    between_syncs(&leader).await;
    redis.cli(&["FLUSHALL"]).await;
    let rebuilt = leader.process.wait_for_log("cache_rebuilt", |_| true).await;
    let is_rebuilt = |line: &Value| line["generation"] == rebuilt["generation"];
    let log = &reader.process;
    log.wait_for_log("snapshot_loaded", is_rebuilt).await;
    between_syncs(&leader).await;

    leader.process.kill().await;
    logs(&standby, "lease_taken").await;
    standby.next_sync().await;
    let mark = reader.process.mark();
    upstream.release("The Boy and the Heron");
    logs(&standby, "release_appended").await;
    let log = &reader.process;
    log.wait_for_log_since(mark, "snapshot_loaded", |_| true)
        .await;

    for process in [&mut standby.process, &mut reader.process] {
        process.signal(Signal::Term);
        assert!(process.wait().await.success());
    }
    let processes = [&leader.process, &standby.process, &reader.process];
    let names = ["leader", "standby", "reader"];
    let of = |process: &&Process| process.logs();
    let day: BTreeMap<&str, Log> = names.into_iter().zip(processes.iter().map(of)).collect();
    check(&day, &redis, &upstream);
}

async fn logs(poller: &RunningPoller, event: &str) {
    poller.process.wait_for_log(event, |_| true).await;
}

/// Waits for the end of a sync, so that the next change does not come in the middle of one.
async fn between_syncs(poller: &RunningPoller) {
    poller.next_sync().await;
}

fn check(day: &BTreeMap<&str, Log>, redis: &Redis, upstream: &Upstream) {
    for (process, begins, ends) in TROUBLES {
        let place = |event: &str| day[process].iter().position(|line| line["event"] == event);
        let (begins, ends) = (place(begins), place(ends));
        assert!(begins.is_some() && begins < ends, "{process}: {TROUBLES:?}");
    }
    for line in day.values().flatten() {
        assert_is_in_catalogue(line);
    }
    let mut lines: Vec<(&str, &Value)> = Vec::new();
    for (process, log) in day {
        let is_beat = |line: &&Value| line["event"] == "sync_completed";
        lines.extend(
            log.iter()
                .filter(|line| !is_beat(line))
                .map(|it| (*process, it)),
        );
    }
    lines.sort_by_key(|(_, line)| time(line));
    assert!(lines.len() < 40, "{} lines", lines.len());
    println!("{} lines beside sync_completed", lines.len());

    let text = text(&lines, redis, upstream);
    let section = Section::read("operations.md", BEGIN, END);
    if section.update(&text) {
        return;
    }
    for process in day.keys() {
        assert_eq!(sequence(&section.text, process), sequence(&text, process));
    }
}

/// Its event and all its fields are documented.
fn assert_is_in_catalogue(line: &Value) {
    let mut known = events::ALL.iter();
    let event = known.find(|event| line["event"] == event.name);
    let event = event.unwrap_or_else(|| panic!("{line}"));
    let common = ["timestamp", "level", "event", "message", "target"];
    for field in line.as_object().unwrap().keys() {
        let (_, part) = field.rsplit_once('.').unwrap_or(("", field));
        let is_known = event.fields.contains(&format!("`{field}`"))
            || event.fields.contains(&format!("`films.{part}`"));
        assert!(common.contains(&&**field) || is_known, "{field}: {line}");
    }
}

fn time(line: &Value) -> DateTime<Utc> {
    line["timestamp"].as_str().unwrap().parse().unwrap()
}

/// The lines in the form of `LOG_FORMAT=text`, with the process, and the time since the start.
fn text(lines: &[(&str, &Value)], redis: &Redis, upstream: &Upstream) -> String {
    let start = time(lines[0].1).time();
    let mut text = String::new();
    for (process, line) in lines {
        let (level, message) = (&line["level"], line["message"].as_str().unwrap());
        let at = time(line).format("%H:%M:%S");
        let level = level.as_str().unwrap();
        writeln!(text, "{process:<7} {at} {level:>5} {message}").unwrap();
    }
    for (process, line) in lines {
        if line["event"] == "lease_taken" {
            text = text.replace(line["holder"].as_str().unwrap(), process);
        }
    }
    let text = text.replace(&upstream.url(), "https://ghibliapi.example");
    let text = text.replace(&redis.url(), "redis://redis");
    from_nine(&text, start)
}

/// What one process logged: the level and the first words of each line.
fn sequence(text: &str, process: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with(process));
    // The version of the programs is that of the build.
    let changing = Regex::new(r"\d+\.\d+\.\d+( \(\w+\))?|\d+").unwrap();
    lines
        .map(|line| {
            let line = changing.replace_all(line, "#");
            let words: Vec<_> = line.split_whitespace().skip(2).take(5).collect();
            words.join(" ")
        })
        .collect()
}
