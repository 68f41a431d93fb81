//! What pollers remember after the cache is lost: who restores it, and how readers react.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::Duration;

use serde_json::Value;
use testkit::client::get;
use testkit::process::{Poller, RunningPoller, Server, Signal};
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};

async fn poller(upstream: &Upstream, redis: &Redis) -> RunningPoller {
    Poller::new(&upstream.url(), &redis.url())
        .schedule("* * * * * *")
        .env("LOG_LEVEL", "info,poller=debug")
        .start()
        .await
}

/// The titles in the release log, and the numbers beside them.
async fn release_log(redis: &Redis) -> Vec<(u64, String)> {
    let snapshot = redis.cli(&["GET", "{ghibli}:snapshot"]).await;
    let Ok(snapshot) = serde_json::from_str::<Value>(&snapshot) else {
        return Vec::new();
    };
    let log = snapshot["releases"].as_array().unwrap();
    log.iter()
        .map(|it| {
            let title = it["title"].as_str().unwrap().to_owned();
            (it["sequence"].as_u64().unwrap(), title)
        })
        .collect()
}

/// A flush also frees the lease. If a standby got it first, it would begin a new release log, while
/// the poller with the old log becomes a standby.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_with_two_pollers_a_flushed_cache_keeps_its_release_log() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let _one = poller(&upstream, &redis).await;
    let reader = Server::new(&redis.url()).start().await;
    reader.shows("Totoro").await;
    let two = poller(&upstream, &redis).await;
    two.process.wait_for_log("standby", |_| true).await;

    let mut expected = Vec::new();
    for round in 1..=8 {
        let title = format!("Film {round}");
        upstream.release(&title);
        reader.shows(&title).await;
        redis.cli(&["FLUSHALL"]).await;
        expected.push((round, title));
        let restored = async || release_log(&redis).await == expected;
        eventually("the release log", TIME_LIMIT, restored).await;
    }
}

/// A standby keeps what it remembers. If the leader dies and the cache is lost at the same moment,
/// the standby continues the release log.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_standby_restores_what_a_dead_poller_committed() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let mut one = poller(&upstream, &redis).await;
    let reader = Server::new(&redis.url()).start().await;
    reader.shows("Totoro").await;
    let two = poller(&upstream, &redis).await;
    upstream.release("The Boy and the Heron");
    two.process
        .wait_for_log("snapshot_remembered", |line| line["films.count"] == 23)
        .await;

    one.process.kill().await;
    redis.cli(&["FLUSHALL"]).await;
    let expected = [(1, "The Boy and the Heron".to_owned())];
    let restored = async || release_log(&redis).await == expected;
    eventually("the release log", TIME_LIMIT, restored).await;
}

/// A poller that was frozen missed a generation, so it restores an older one than readers have.
/// Readers must still accept its commits as new.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_readers_follow_a_poller_that_restores_less_than_they_have_seen() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let late = poller(&upstream, &redis).await;
    let reader = Server::new(&redis.url()).start().await;
    reader.shows("Totoro").await;

    late.process.signal(Signal::Stop);
    // Deletes the lease, because waiting for its end takes too long.
    redis.cli(&["DEL", "{ghibli}:lease"]).await;
    let mut other = poller(&upstream, &redis).await;
    upstream.release("The Boy and the Heron");
    reader.shows("The Boy and the Heron").await;

    other.process.kill().await;
    redis.cli(&["FLUSHALL"]).await;
    upstream.release("How Do You Live?");
    // A poller that starts anew numbers generations by the clock's seconds, so the test must wait.
    tokio::time::sleep(Duration::from_secs(2)).await;
    late.process.signal(Signal::Cont);
    reader.shows("How Do You Live?").await;
}

/// A poller that starts on a lost cache cannot know of an earlier release log. A poller that knows
/// it takes the lease from the new one. No announced release is lost or announced again.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_poller_that_remembers_takes_the_lease_from_one_that_started_empty() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let old = poller(&upstream, &redis).await;
    let reader = Server::new(&redis.url()).start().await;
    reader.shows("Totoro").await;
    upstream.release("Known to the old");
    old.process.wait_for_log("release_appended", |_| true).await;

    old.process.signal(Signal::Stop);
    redis.cli(&["FLUSHALL"]).await;
    upstream.release("Taken for old");
    let new = poller(&upstream, &redis).await;
    let begins = |line: &Value| line["films.result"] == "baseline";
    new.process.wait_for_log("sync_completed", begins).await;
    upstream.release("Known to the new");
    new.process.wait_for_log("release_appended", |_| true).await;
    assert_eq!(
        release_log(&redis).await,
        [(1, "Known to the new".to_owned())]
    );

    old.process.signal(Signal::Cont);
    let expected = ["Known to the old", "Taken for old", "Known to the new"];
    let expected: Vec<_> = (1..).zip(expected.map(str::to_owned)).collect();
    let restored = async || release_log(&redis).await == expected;
    eventually("the release log", TIME_LIMIT, restored).await;
    let is_last = |line: &Value| line["title"] == "Taken for old";
    old.process.wait_for_log("release_appended", is_last).await;
    let standing_by = "standby";
    new.process.wait_for_log(standing_by, |_| true).await;
    let announced = |poller: &RunningPoller| {
        let mut lines = poller.process.logs();
        lines.retain(|line| line["event"] == "release_appended");
        let title = |line: &Value| line["title"].as_str().unwrap().to_owned();
        lines.iter().map(title).collect::<Vec<_>>()
    };
    assert_eq!(announced(&old), ["Known to the old", "Taken for old"]);
    assert_eq!(announced(&new), ["Known to the new"]);
    for title in ["Known to the old", "Taken for old", "Known to the new"] {
        reader.shows(title).await;
        let films = get(&format!("{}/films", reader.url())).await.text();
        let listed = format!("\"title\": \"{title}\"");
        assert_eq!(films.matches(&listed).count(), 1, "{title}");
    }
}
