//! The dead man's switch: requested after each fully successful sync, and only then.

use serde_json::{Value, json};
use testkit::catalogue;
use testkit::process::{Poller, Process, RunningPoller, binaries};
use testkit::upstream::{Fault, Upstream};

const EVERY_SECOND: &str = "* * * * * *";
const FAILS: &str = "heartbeat_failing";
const ARRIVES: &str = "heartbeat_back";

/// The path that nobody may see.
const PATH: &str = "films?token=s3cret";

fn url(monitor: &Upstream) -> String {
    format!("{}/{PATH}", monitor.url())
}

fn times(poller: &RunningPoller, message: &str) -> usize {
    let logs = poller.process.logs();
    logs.iter().filter(|line| line["event"] == message).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_follows_each_full_success_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let (upstream, monitor) = (
        Upstream::start(catalogue()),
        Upstream::start(json!({
            "films": [], "people": [], "locations": [], "species": [], "vehicles": []
        })),
    );
    upstream.misbehave_on("species", Fault::Status(500));
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .env("HEARTBEAT_URL", url(&monitor))
        .env("LOG_LEVEL", "trace")
        .start()
        .await;
    // A partial success is none.
    for _ in 0..2 {
        assert_eq!(poller.next_sync().await["outcome"], "partial");
    }
    assert_eq!(monitor.counts().requests, 0);

    upstream.behave();
    monitor
        .wait_for("three heartbeats", |counts| counts.requests >= 3)
        .await;
    let successes = poller.process.logs();
    let is_success = |line: &&Value| {
        line["event"] == "sync_completed"
            && ["committed", "unchanged"].contains(&line["outcome"].as_str().unwrap())
    };
    let successes = successes.iter().filter(is_success).count();
    assert!(successes >= 3, "one for each");
    assert!(monitor.requests().iter().all(|it| it.path.ends_with(PATH)));

    // Nothing while the upstream is down.
    upstream.go_down();
    assert_eq!(poller.next_sync().await["outcome"], "failed");
    let before = monitor.counts().requests;
    assert_eq!(poller.next_sync().await["outcome"], "failed");
    assert_eq!(monitor.counts().requests, before);
    let said = poller.process.stderr().concat();
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_in_trouble_is_reported_once_and_delays_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let (upstream, monitor) = (Upstream::start(catalogue()), Upstream::start(catalogue()));
    let elsewhere = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .env("HEARTBEAT_URL", url(&monitor))
        .start()
        .await;
    let log = &poller.process;
    let away = Fault::RedirectTo(format!("{}/films", elsewhere.url()));
    for (trouble, reason) in [
        (Fault::Status(500), "status 500"),
        (away, "status 302"),
        (Fault::Refuse, ""),
        (Fault::Stall, "no answer within 5s"),
    ] {
        let mark = log.mark();
        monitor.misbehave(trouble);
        let line = log.wait_for_log_since(mark, FAILS, |_| true).await;
        let said = line["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{said}");
        for _ in 0..2 {
            let line = poller.next_sync().await;
            assert_eq!(line["outcome"], "unchanged");
        }
        let mark = log.mark();
        monitor.behave();
        log.wait_for_log_since(mark, ARRIVES, |_| true).await;
    }
    assert_eq!((times(&poller, FAILS), times(&poller, ARRIVES)), (4, 4));
    assert_eq!(elsewhere.counts().requests, 0, "another origin");
    let said = log.stderr().concat();
    assert!(!said.contains("s3cret"), "{said}");
}

/// From a file, as secrets come; the command `sync` sends one too.
#[tokio::test(flavor = "multi_thread")]
async fn sync_sends_a_heartbeat_before_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (upstream, monitor) = (Upstream::start(catalogue()), Upstream::start(catalogue()));
    let file = directory.path().join("heartbeat");
    std::fs::write(&file, format!("{}\n", url(&monitor))).unwrap();
    let environment = [
        ("GHIBLI_API", upstream.url()),
        ("CACHE_URL", format!("file:{}", directory.path().display())),
        ("ADMIN_ADDR", format!("127.0.0.1:{}", testkit::free_port())),
        ("HEARTBEAT_URL_FILE", file.display().to_string()),
    ];
    let sync = async || {
        let mut sync = Process::spawn("sync", &binaries().poller, &["sync"], &environment);
        sync.wait().await.code()
    };
    assert_eq!(sync().await, Some(0));
    assert_eq!(monitor.counts().requests, 1);
    upstream.go_down();
    assert_eq!(sync().await, Some(1));
    assert_eq!(monitor.counts().requests, 1);
}
