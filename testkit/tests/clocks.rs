//! Kind 10: somebody sets the clock while a poller runs. The schedule follows the new time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;
use testkit::chaos::Clock;
use testkit::process::{Poller, RunningPoller};
use testkit::upstream::Upstream;
use testkit::{catalogue, skip};

/// A clock that can be set, or nothing where libfaketime is missing.
fn clock(directory: &TempDir) -> Option<Clock> {
    let clock = Clock::new(directory.path(), "clock");
    if clock.is_none() {
        skip("clocks", "libfaketime is missing");
    }
    clock
}

async fn start(upstream: &Upstream, schedule: &str, clock: &Clock) -> (RunningPoller, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let url = format!("file:{}", cache.path().display());
    let poller = Poller::new(&upstream.url(), &url).schedule(schedule);
    let environment = clock.environment().into_iter();
    let poller = environment.fold(poller, |poller, (name, value)| poller.env(name, value));
    let poller = poller.start().await;
    poller
        .process
        .wait_for_log("sync_completed", |_| true)
        .await;
    (poller, cache)
}

/// Sets the clock, and waits for a sync at the new time.
async fn sync_after_step(poller: &RunningPoller, clock: &Clock, hours: i64) {
    let mark = poller.process.mark();
    clock.set(hours * 3600);
    let is_then = |line: &Value| {
        let logged: DateTime<Utc> = line["timestamp"].as_str().unwrap().parse().unwrap();
        (logged - Utc::now() - TimeDelta::hours(hours)).abs() < TimeDelta::minutes(10)
    };
    poller
        .process
        .wait_for_log_since(mark, "sync_completed", is_then)
        .await;
}

/// A machine that wakes up, or whose clock moves forward, syncs on time and not a day later.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_step_forward_the_trigger_that_is_then_right_is_heeded() {
    let directory = tempfile::tempdir().unwrap();
    let Some(clock) = clock(&directory) else {
        return;
    };
    let upstream = Upstream::start(catalogue());
    let (poller, _cache) = start(&upstream, "0 30 3 * * *", &clock).await;
    for hours in [25, 50] {
        sync_after_step(&poller, &clock, hours).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_step_back_syncs_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let Some(clock) = clock(&directory) else {
        return;
    };
    let upstream = Upstream::start(catalogue());
    let (poller, _cache) = start(&upstream, "*/2 * * * * *", &clock).await;
    for hours in [-100, 30, -1] {
        sync_after_step(&poller, &clock, hours).await;
    }
}
