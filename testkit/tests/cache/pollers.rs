//! Several pollers on one cache: one syncs, and another takes over.

use std::time::{Duration, Instant};

use testkit::catalogue;
use testkit::process::{Poller, Signal};
use testkit::redis::Redis;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, eventually};

use super::{EVERY_SECOND, FILM, Mirror, times};

const STANDBY: &str = "standby";

/// A poller that waits longer for the upstream than usual.
async fn patient_poller(upstream: &Upstream, redis: &Redis) -> testkit::process::RunningPoller {
    let poller = Poller::new(&upstream.url(), &redis.url()).schedule(EVERY_SECOND);
    poller.env("UPSTREAM_TIMEOUT", "20s").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_two_pollers_cost_the_upstream_one_and_a_standby_takes_over() {
    let redis = Redis::start().await;
    let mut mirror = Mirror::on(&redis.url(), 1).await;
    let standby = patient_poller(&mirror.upstream, &redis).await;
    standby.process.wait_for_log(STANDBY, |_| true).await;

    let holder = &mut mirror.poller.process;
    let more = times(holder, "sync_completed") + 4;
    eventually("four more syncs", TIME_LIMIT, async || {
        times(holder, "sync_completed") >= more
    })
    .await;
    let killed = Instant::now();
    holder.kill().await;
    let requests = mirror.upstream.counts().requests;
    let finished = times(holder, "sync_completed") as u64;
    // The kill may have cut off the last sync.
    assert!(
        (finished * 5..=finished * 5 + 5).contains(&requests),
        "{requests}"
    );
    assert_eq!(times(&standby.process, "sync_completed"), 0);

    mirror.upstream.release(FILM);
    standby
        .process
        .wait_for_log("release_appended", |line| line["sequence"] == 1)
        .await;
    println!(
        "holder killed: a standby took over {:?} later",
        killed.elapsed()
    );
    mirror.shows(FILM).await;
    assert_eq!(
        times(&standby.process, STANDBY),
        1,
        "the standby logs it once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_poller_that_slept_through_its_lease_in_a_sync_is_fenced_out() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let sleeper = patient_poller(&upstream, &redis).await;
    sleeper.synced("committed").await;
    // The poller freezes in the middle of a sync.
    upstream.misbehave(Fault::Stall);
    let before = upstream.counts().requests;
    upstream
        .wait_for("a stalled request", |counts| counts.requests > before)
        .await;
    sleeper.process.signal(Signal::Stop);
    upstream.behave();

    let other = patient_poller(&upstream, &redis).await;
    let mark = sleeper.process.mark();
    other.process.wait_for_log("sync_completed", |_| true).await;
    upstream.release(FILM);
    other
        .process
        .wait_for_log("release_appended", |_| true)
        .await;
    let stored = redis.cli(&["GET", "{ghibli}:snapshot"]).await;

    sleeper.process.signal(Signal::Cont);
    let fenced = sleeper.process.wait_for_log_since(mark, STANDBY, |_| true);
    let line = tokio::time::timeout(Duration::from_secs(30), fenced)
        .await
        .unwrap();
    let holder = redis.cli(&["GET", "{ghibli}:lease"]).await;
    assert_eq!(line["holder"], holder.as_str());
    assert_eq!(times(&sleeper.process, "release_appended"), 0);
    assert_eq!(redis.cli(&["GET", "{ghibli}:snapshot"]).await, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_poller_that_was_replaced_leaves_the_restoring_to_its_successor() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let sleeper = patient_poller(&upstream, &redis).await;
    sleeper.synced("committed").await;
    sleeper.process.signal(Signal::Stop);
    let other = patient_poller(&upstream, &redis).await;
    other.process.wait_for_log("sync_completed", |_| true).await;
    upstream.release(FILM);
    other
        .process
        .wait_for_log("release_appended", |_| true)
        .await;

    // Both are frozen when the cache is lost, and the one that knows less wakes first.
    other.process.signal(Signal::Stop);
    redis.cli(&["FLUSHALL"]).await;
    let mark = sleeper.process.mark();
    sleeper.process.signal(Signal::Cont);
    sleeper
        .process
        .wait_for_log_since(mark, STANDBY, |line| {
            line["holder"] == "another poller that may know more"
        })
        .await;
    other.process.signal(Signal::Cont);
    other.process.wait_for_log("cache_rebuilt", |_| true).await;
    let stored = redis.cli(&["--raw", "GET", "{ghibli}:snapshot"]).await;
    assert!(stored.contains(FILM));
    let announced = [&sleeper, &other].map(|poller| times(&poller.process, "release_appended"));
    assert_eq!(announced, [0, 1]);
}
