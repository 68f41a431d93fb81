//! A cache that is silent, full, empty, late, or locked.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client::get;
use testkit::process::{Poller, Server};
use testkit::proxy::Proxy;
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};

use super::{EVERY_SECOND, FILM, Mirror, times};

const UNREADABLE: &str = "cache_unreachable";

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_freezes_costs_no_request_and_is_used_again_when_it_thaws() {
    let redis = Redis::start().await;
    let mirror = Mirror::on(&redis.url(), 2).await;
    let load = mirror.load();

    redis.pause();
    for reader in &mirror.readers {
        reader.process.wait_for_log(UNREADABLE, |_| true).await;
    }
    mirror
        .poller
        .process
        .wait_for_log("cache_unreachable", |_| true)
        .await;
    redis.resume();
    mirror.upstream.release(FILM);
    let shown = mirror.shows(FILM).await;
    let requests = load.stop().await;
    println!("thawed: shown {shown:?} later; {requests} requests meanwhile, none failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fall_silent_are_replaced() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.port()).await;
    let mirror = Mirror::on(&format!("redis://127.0.0.1:{}", proxy.port()), 2).await;
    let listeners = ["PUBSUB", "NUMSUB", "{ghibli}:changed"];
    eventually("subscriptions", TIME_LIMIT, async || {
        redis.cli(&listeners).await.ends_with('2')
    })
    .await;
    proxy.silence();
    mirror.upstream.release(FILM);
    let shown = mirror.shows(FILM).await;
    println!("connections silent: shown {shown:?} later");

    // Readers replace the connections for notices too; the silent ones stay beside them.
    eventually("new subscriptions", TIME_LIMIT, async || {
        redis.cli(&listeners).await.ends_with('4')
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_tries_its_cache_again_within_seconds_on_any_schedule() {
    let mut redis = Redis::start().await;
    redis.kill().await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &redis.url())
        .schedule("0 0 0 1 1 *")
        .start()
        .await;
    let log = &poller.process;
    // Three failures in a row are one, two and four seconds apart.
    let third = async || times(log, "sync_completed") >= 3;
    eventually("the third failure", TIME_LIMIT, third).await;
    redis.restart().await;
    let restarted = Instant::now();
    poller.synced("committed").await;
    println!("Redis back: committed {:?} later", restarted.elapsed());
    assert_eq!(upstream.counts().requests, 5, "nothing was asked in vain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_keeps_what_it_has_until_there_is_room() {
    let redis = Redis::start().await;
    let mirror = Mirror::on(&redis.url(), 1).await;
    let stored = async || {
        let snapshot = redis.cli(&["GET", "{ghibli}:snapshot"]).await;
        (snapshot, redis.cli(&["GET", "{ghibli}:status"]).await)
    };

    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let before = stored().await;
    mirror.upstream.release(FILM);
    let log = &mirror.poller.process;
    let mark = log.mark();
    let full = |line: &Value| line["reason"].as_str().unwrap().contains("maxmemory");
    log.wait_for_log_since(mark, "cache_unreachable", full)
        .await;
    let failed = |line: &Value| line["outcome"] == "failed";
    let mark = log.mark();
    log.wait_for_log_since(mark, "sync_completed", failed).await;
    assert!(stored().await == before, "nothing half-written");
    let films = get(&format!("{}/films", mirror.readers[0].url())).await;
    assert_eq!(
        (films.status, films.json().as_array().unwrap().len()),
        (200, 22)
    );
    assert_eq!(times(&mirror.readers[0].process, UNREADABLE), 0);

    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
    mirror.shows(FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_flushed_cache_is_rebuilt_within_a_cycle_with_its_release_log() {
    let redis = Redis::start().await;
    let mirror = Mirror::on(&redis.url(), 2).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
    let load = mirror.load();
    let stored = async || -> Option<Value> {
        let stored = redis.cli(&["--raw", "GET", "{ghibli}:snapshot"]).await;
        serde_json::from_str(&stored).ok()
    };
    let before = stored().await.unwrap();

    let flushed = Instant::now();
    redis.cli(&["FLUSHALL"]).await;
    let after = eventually("a snapshot", TIME_LIMIT, stored).await;
    println!(
        "flushed: rebuilt {:?} later; a cycle is 1 s",
        flushed.elapsed()
    );
    assert_eq!(after["releases"], before["releases"]);
    assert_eq!(after["releases"][0]["title"], FILM);
    assert!(after["generation"].as_u64() >= before["generation"].as_u64());

    mirror.upstream.release("Earwig and the Witch");
    mirror.shows("Earwig and the Witch").await;
    load.stop().await;
    let is_second = |line: &Value| line["sequence"] == 2;
    let log = &mirror.poller.process;
    log.wait_for_log("release_appended", is_second).await;
    assert_eq!(times(log, "release_appended"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_processes_report_a_wrong_password_and_neither_repeats_it() {
    let redis = Redis::start_with(&["--requirepass", "s3cret"]).await;
    let upstream = Upstream::start(catalogue());
    let url = redis.url().replace("://", "://:wr0ng@");
    let mut poller = Poller::new(&upstream.url(), &url).start().await;
    let mut server = Server::new(&url).start().await;
    let refused = |line: &Value| {
        let reason = line["reason"].as_str().unwrap();
        reason.contains("refused: Password authentication failed")
    };
    poller
        .process
        .wait_for_log("cache_unreachable", refused)
        .await;
    server.process.wait_for_log(UNREADABLE, refused).await;
    for process in [&mut poller.process, &mut server.process] {
        process.kill().await;
        let said = [process.stdout(), process.stderr()].concat().join("\n");
        assert!(!said.contains("wr0ng"), "{said}");
    }
    assert_eq!(upstream.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_serves_readers_and_refuses_a_poller_as_read_only() {
    let master = Redis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
    let port = master.port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &master.url());
    let mirror = Mirror::of(upstream, poller, &Server::new(&replica.url()), 2).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;

    let lost = Poller::new(&mirror.upstream.url(), &replica.url())
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let read_only = |line: &Value| {
        let reason = line["reason"].as_str().unwrap().to_lowercase();
        reason.starts_with("cannot take the lease: refused: ")
            && reason.contains("read only replica")
    };
    let line = lost
        .process
        .wait_for_log("cache_unreachable", read_only)
        .await;
    assert_eq!(line["level"], "WARN");

    // Readers survive the loss of their replica, and catch up when it returns.
    let mut replica = replica;
    let readers = mirror.readers.iter();
    let marks: Vec<_> = readers.map(|reader| reader.process.mark()).collect();
    replica.kill().await;
    mirror.upstream.release("Earwig and the Witch");
    for (reader, mark) in mirror.readers.iter().zip(marks) {
        let log = &reader.process;
        log.wait_for_log_since(mark, UNREADABLE, |_| true).await;
        assert_eq!(get(&format!("{}/films", reader.url())).await.status, 200);
    }
    replica.restart().await;
    let shown = tokio::time::timeout(
        Duration::from_secs(30),
        mirror.shows("Earwig and the Witch"),
    );
    shown.await.unwrap();
}
