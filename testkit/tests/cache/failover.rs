//! A master dies: only the poller notices, and not for long.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::redis::Failover;
use testkit::{TIME_LIMIT, eventually};

use super::{FILM, Mirror, times};

#[tokio::test(flavor = "multi_thread")]
async fn with_the_master_killed_no_request_fails_and_releases_go_on() {
    let mut group = Failover::start().await;
    let mirror = Mirror::on(&group.url(), 3).await;
    let load = mirror.load();

    let mark = mirror.poller.process.mark();
    let killed = Instant::now();
    let old = group.kill_master().await;
    mirror.upstream.release(FILM);
    let released = mirror
        .poller
        .process
        .wait_for_log_since(mark, "release_appended", |line| line["title"] == FILM)
        .await;
    let committed = killed.elapsed();
    mirror.shows(FILM).await;
    let shown = killed.elapsed();
    let requests = load.stop().await;
    println!(
        "master killed: committed again {committed:?} later, on all three readers after {shown:?}; \
         {requests} requests meanwhile, none failed"
    );
    // The mirror promises ten seconds and usually needs a third of that; a busy machine gets three
    // times as much.
    assert!(committed < Duration::from_secs(30), "{committed:?}");
    assert_eq!(released["sequence"], 1);

    // The old master returns, empty, and becomes a replica of the new one.
    group.restart(old).await;
    eventually("a replica", TIME_LIMIT, async || {
        group.servers()[old]
            .cli(&["ROLE"])
            .await
            .starts_with("slave")
    })
    .await;
    mirror.upstream.release("Earwig and the Witch");
    mirror.shows("Earwig and the Witch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_master_that_is_replaced_is_left_at_once() {
    let group = Failover::start().await;
    let mirror = Mirror::on(&group.url(), 2).await;
    let load = mirror.load();
    group.fail_over().await;
    mirror.upstream.release(FILM);
    let shown = mirror.shows(FILM).await;
    let requests = load.stop().await;
    println!("planned failover: shown {shown:?} later; {requests} requests meanwhile, none failed");
    let stored = group.master().await.cli(&["GET", "{ghibli}:snapshot"]);
    assert!(stored.await.contains(FILM));
}

/// Replication is asynchronous: writes that the master confirmed may die with it.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_commit_that_a_failover_lost_is_restored_from_memory() {
    let mut group = Failover::start().await;
    let mirror = Mirror::on(&group.url(), 2).await;

    let master = group.master().await;
    group.stop_replication().await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
    let replicas = group.servers().iter();
    for replica in replicas.filter(|server| server.port() != master.port()) {
        let stored = replica.cli(&["GET", "{ghibli}:snapshot"]).await;
        assert!(stored.contains("Totoro") && !stored.contains(FILM));
    }

    let log = &mirror.poller.process;
    let mark = log.mark();
    group.kill_master().await;
    let lost = "cache_lost";
    log.wait_for_log_since(mark, lost, |_| true).await;
    mirror.poller.next_sync().await;

    let master = group.master().await;
    let stored: Value = eventually("a snapshot", TIME_LIMIT, async || {
        let stored = master.cli(&["--raw", "GET", "{ghibli}:snapshot"]).await;
        serde_json::from_str(&stored).ok()
    })
    .await;
    let releases = stored["releases"].as_array().unwrap();
    assert_eq!(releases.len(), 1, "{releases:?}");
    assert_eq!(
        (&releases[0]["sequence"], &releases[0]["title"]),
        (&1.into(), &FILM.into())
    );
    assert_eq!(
        times(log, "release_appended"),
        1,
        "the poller announces each film once"
    );
    mirror.upstream.release("Earwig and the Witch");
    mirror.shows("Earwig and the Witch").await;
}
