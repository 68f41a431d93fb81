//! The drill: a fake release, end to end, beside a mirror that notices nothing of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::Value;
use testkit::catalogue;
use testkit::client::get;
use testkit::process::{Poller, Process, Server, binaries};
use testkit::redis::Redis;
use testkit::upstream::Upstream;

/// Runs the drill, and returns its exit status, its output, and its standard error.
async fn drill(arguments: &[&str], cache: &str) -> (Option<i32>, String, String) {
    let environment = [
        ("CACHE_URL", cache.to_owned()),
        // The drill's own upstream is on this machine, whatever the proxies.
        ("HTTP_PROXY", "http://127.0.0.1:1".to_owned()),
    ];
    let arguments = [&["drill"], arguments].concat();
    let mut process = Process::spawn("drill", &binaries().poller, &arguments, &environment);
    let code = process.wait().await.code();
    let [output, errors] = [process.stdout(), process.stderr()].map(|lines| lines.join("\n"));
    (code, output, errors)
}

/// Checks what the drill prints.
async fn prints_times(cache: &str) {
    let (code, output, errors) = drill(&["--readers", "5", "--json"], cache).await;
    assert_eq!(code, Some(0), "{errors}");
    let times: Value = serde_json::from_str(&output).unwrap();
    let of = |name: &str| times[name].as_f64().unwrap();
    assert!(
        0.0 < of("fetched_ms") && of("fetched_ms") < of("committed_ms"),
        "{output}"
    );
    let readers = times["readers_ms"].as_array().unwrap();
    assert_eq!(readers.len(), 5, "{output}");
    for seen in readers {
        let seen = seen.as_f64().unwrap();
        assert!(of("fetched_ms") < seen && seen < 10_000.0, "{output}");
    }
    let (code, output, errors) = drill(&[], cache).await;
    assert_eq!(code, Some(0), "{errors}");
    for line in [
        "      0.0 ms  released upstream: A Drill\n",
        " ms  fetched by the poller\n",
        " ms  committed, and announced once\n",
        " ms  visible to reader 3\n",
        "nothing of the drill is left\n",
    ] {
        assert!(output.contains(line), "{line}: {output}");
    }
    println!("{output}");
    assert!(
        !errors.contains("release_appended"),
        "no log line: {errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_mirror_on_redis_nobody_notices_it_and_nothing_is_left() {
    let redis = Redis::start().await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &redis.url()).start().await;
    poller.synced("committed").await;
    let reader = Server::new(&redis.url()).start().await;
    reader.process.wait_for_log("server_ready", |_| true).await;
    let films = format!("{}/films", reader.url());
    let (before, logged) = (get(&films).await.text(), reader.process.stderr().len());
    let asked = upstream.counts().requests;
    prints_times(&redis.url()).await;

    assert_eq!(get(&films).await.text(), before);
    assert_eq!(
        reader.process.stderr().len(),
        logged,
        "servers follow other keys"
    );
    assert!(
        upstream.counts().requests - asked <= 10,
        "the poller's own syncs"
    );
    let keys = redis.cli(&["KEYS", "*drill*"]).await;
    assert_eq!(keys, "");
    let stored = redis.cli(&["GET", "{ghibli}:snapshot"]).await;
    assert!(!stored.contains("A Drill"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_files_it_leaves_nothing_behind_either() {
    let directory = tempfile::tempdir().unwrap();
    prints_times(&format!("file:{}", directory.path().display())).await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_runs_at_a_time_and_the_next_one_cleans_up_after_one_that_was_killed() {
    let redis = Redis::start().await;
    for key in ["snapshot", "status"] {
        let key = format!("{{ghibli-drill}}:{key}");
        redis.cli(&["SET", &key, "left behind"]).await;
    }
    redis
        .cli(&["LPUSH", "{ghibli-drill}:history", "left behind"])
        .await;
    redis
        .cli(&["SET", "{ghibli-drill}:lease", "somebody"])
        .await;
    let (code, _, errors) = drill(&[], &redis.url()).await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("another drill runs: somebody"), "{errors}");
    assert_eq!(redis.cli(&["DBSIZE"]).await, "4", "it touches nothing");

    redis.cli(&["DEL", "{ghibli-drill}:lease"]).await;
    let (code, _, errors) = drill(&[], &redis.url()).await;
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(redis.cli(&["DBSIZE"]).await, "0");
}

/// For example a user of Redis that may not use the keys of a drill.
#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_lacks() {
    let redis = Redis::start().await;
    let user = [
        "ACL",
        "SETUSER",
        "poller",
        "on",
        ">s3cret",
        "~{ghibli}:*",
        "+@all",
    ];
    assert_eq!(redis.cli(&user).await, "OK");
    let url = redis.url().replace("://", "://poller:s3cret@");
    let (code, _, errors) = drill(&[], &url).await;
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("cannot use its own place in the cache"),
        "{errors}"
    );
    assert!(!errors.contains("s3cret"), "{errors}");
}
