//! Readers stay up whatever dies: the upstream, Redis, or the poller in the middle of a commit.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::{Connection, get, hammer};
use testkit::process::{Poller, Process, RunningServer, Server, binaries};
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use testkit::{catalogue, eventually};

const EVERY_SECOND: &str = "* * * * * *";

async fn ready(reader: &RunningServer) {
    let url = format!("{}/readyz", reader.admin_url());
    eventually("ready", Duration::from_secs(20), async || {
        get(&url).await.status == 200
    })
    .await;
}

fn paths(readers: &[&RunningServer]) -> Vec<String> {
    let paths = ["films", "people", "movies", "db"];
    readers
        .iter()
        .flat_map(|reader| paths.map(|path| format!("{}/{path}", reader.url())))
        .collect()
}

/// Done when 3, first part.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_upstream_dead_no_request_fails() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let (one, two) = (
        Server::new(&cache).start().await,
        Server::new(&cache).start().await,
    );
    poller
        .process
        .wait_for_log("sync finished", |line| line["outcome"] == "committed")
        .await;
    ready(&one).await;
    ready(&two).await;

    upstream.go_down();
    poller
        .process
        .wait_for_log("sync finished", |line| line["outcome"] == "failed")
        .await;
    let tally = hammer(&paths(&[&one, &two]), 10_000, 16).await;
    assert!(tally.all_ok() && tally.answered == 10_000, "{tally:?}");

    // A reader that starts now finds everything too, and it is not the built-in catalogue.
    let late = Server::new(&cache).start().await;
    ready(&late).await;
    let page = get(&format!("{}/movies", late.url())).await;
    assert!(!page.text().contains("built-in"));

    upstream.come_back();
    poller
        .process
        .wait_for_log("syncs succeed again", |_| true)
        .await;
}

/// Done when 3, second part.
#[tokio::test(flavor = "multi_thread")]
async fn with_redis_dead_no_request_fails_and_afterwards_releases_arrive() {
    let mut redis = Redis::start_persistent().await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &redis.url())
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let server = Server::new(&redis.url());
    let (one, two) = (server.start().await, server.start().await);
    poller
        .process
        .wait_for_log("sync finished", |line| line["outcome"] == "committed")
        .await;
    ready(&one).await;
    ready(&two).await;

    redis.kill().await;
    let unreadable = "cache unreadable, serving what is in memory";
    one.process.wait_for_log(unreadable, |_| true).await;
    let tally = hammer(&paths(&[&one, &two]), 10_000, 16).await;
    assert!(tally.all_ok() && tally.answered == 10_000, "{tally:?}");
    assert_eq!(
        get(&format!("{}/readyz", one.admin_url())).await.status,
        200,
        "stays ready"
    );
    let warnings = one
        .process
        .logs()
        .iter()
        .filter(|line| line["message"] == unreadable)
        .count();
    assert_eq!(warnings, 1, "one warning when it starts");

    redis.restart().await;
    upstream.release("The Boy and the Heron");
    for reader in [&one, &two] {
        let shown = async || {
            get(&format!("{}/films", reader.url()))
                .await
                .text()
                .contains("The Boy and the Heron")
        };
        eventually("the release", Duration::from_secs(15), shown).await;
    }
}

/// A catalogue in which every record carries the same version, large enough that commits take a
/// while.
fn versioned(version: u64) -> Value {
    let mut all = catalogue();
    for records in all.as_object_mut().unwrap().values_mut() {
        for record in records.as_array_mut().unwrap() {
            record["version"] = json!(version);
            record["ballast"] = json!("x".repeat(4096));
        }
    }
    all
}

/// Reads `/db` until told to stop. Every body must be of one version, and none older than the
/// last.
async fn watch(url: String, stop: Arc<AtomicBool>, newest: Arc<AtomicU64>) -> u64 {
    let mut connection = Connection::new();
    let mut reads = 0;
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let db = connection.get(&url).await.expect("a reader answers").json();
        let records = db
            .as_object()
            .unwrap()
            .values()
            .flat_map(|it| it.as_array().unwrap());
        let versions: BTreeSet<_> = records.map(|it| it["version"].as_u64().unwrap()).collect();
        assert_eq!(versions.len(), 1, "half a commit: {versions:?}");
        let version = *versions.first().unwrap();
        assert!(version >= last, "went back from {last} to {version}");
        last = version;
        newest.store(version, Ordering::Relaxed);
        reads += 1;
    }
    reads
}

/// Done when 3, third part: a hundred pollers are killed around the moment of their commit.
async fn survives_kills(cache: &str) {
    let upstream = Upstream::start(versioned(1));
    let environment = [
        ("GHIBLI_API", upstream.url()),
        ("CACHE_URL", cache.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let sync = || Process::spawn("poller", &binaries().poller, &["sync"], &environment);
    assert!(sync().wait().await.success());
    let reader = Server::new(cache).start().await;
    ready(&reader).await;
    let (stop, newest) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let watching = tokio::spawn(watch(
        format!("{}/db", reader.url()),
        stop.clone(),
        newest.clone(),
    ));

    // How long a whole sync takes here and now tells where to aim.
    let mut version = 2;
    upstream.edit(|all| *all = versioned(version));
    let started = Instant::now();
    let mut whole = sync();
    assert!(whole.wait().await.success());
    let duration = started.elapsed();

    let mut committed_anyway = 0;
    for kill in 0..100u32 {
        version += 1;
        upstream.edit(|all| *all = versioned(version));
        let mut poller = sync();
        // From well before the commit to just after it.
        tokio::time::sleep(duration.mul_f64(0.3 + 0.008 * f64::from(kill))).await;
        poller.kill().await;
        // Redis keeps a dead poller's lease until it runs out; nobody has that long here.
        if let Some(port) = cache.strip_prefix("redis://127.0.0.1:") {
            let port = port.trim_end_matches('/');
            let mut free = tokio::process::Command::new("redis-cli");
            free.args(["-p", port, "DEL", "{ghibli}:lease"])
                .output()
                .await
                .unwrap();
        }
        // A fresh reader accepts what it finds, too.
        if kill % 20 == 0 {
            let fresh = Server::new(cache).start().await;
            ready(&fresh).await;
        }
        committed_anyway += u32::from(newest.load(Ordering::Relaxed) == version);
    }
    // Once undisturbed, the poller gets through.
    version += 1;
    upstream.edit(|all| *all = versioned(version));
    assert!(sync().wait().await.success());
    let arrived = async || newest.load(Ordering::Relaxed) == version;
    eventually("the last version", Duration::from_secs(10), arrived).await;
    stop.store(true, Ordering::Relaxed);
    let reads = watching.await.unwrap();
    println!("100 kills, {committed_anyway} after their commit, {reads} reads, all whole");
    assert!(reads > 100, "{reads} reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn pollers_killed_while_committing_to_a_directory_leave_it_whole() {
    let directory = tempfile::tempdir().unwrap();
    survives_kills(&format!("file:{}", directory.path().display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pollers_killed_while_committing_to_redis_leave_it_whole() {
    let redis = Redis::start().await;
    survives_kills(&redis.url()).await;
}
