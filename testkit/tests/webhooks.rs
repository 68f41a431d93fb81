//! Webhooks: a release reaches each receiver, exactly once by its id, whatever dies on the way.

use std::collections::BTreeSet;

use serde_json::Value;
use standardwebhooks::Webhook;
use testkit::catalogue;
use testkit::process::{Poller, Process, RunningPoller, binaries};
use testkit::receiver::{Received, Receiver, Taking};
use testkit::redis::Redis;
use testkit::upstream::{Fault, Upstream};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const FILM: &str = "The Boy and the Heron";

/// For a poller that syncs only at its start.
const NEVER: &str = "0 0 0 1 1 *";
const EVERY_SECOND: &str = "* * * * * *";

/// A mirror whose baseline is stored, so that the next film is a release.
struct Stage {
    upstream: Upstream,
    cache: String,
    receivers: Vec<Receiver>,
}

impl Stage {
    async fn new(cache: &str, receivers: Vec<Receiver>) -> Self {
        let stage = Self {
            upstream: Upstream::start(catalogue()),
            cache: cache.to_owned(),
            receivers,
        };
        let poller = stage.poller(NEVER).await;
        poller.synced("committed").await;
        stop(poller).await;
        stage
    }

    fn configured(&self, schedule: &str) -> Poller {
        let urls: Vec<_> = self.receivers.iter().map(Receiver::url).collect();
        Poller::new(&self.upstream.url(), &self.cache)
            .schedule(schedule)
            .env("WEBHOOK_URLS", urls.join(","))
            .env("WEBHOOK_SECRET", SECRET)
    }

    async fn poller(&self, schedule: &str) -> RunningPoller {
        self.configured(schedule).start().await
    }
}

/// Ends a poller as people do.
async fn stop(mut poller: RunningPoller) {
    poller.process.signal(testkit::process::Signal::Term);
    poller.process.wait().await;
}

fn file_cache(directory: &tempfile::TempDir) -> String {
    format!("file:{}", directory.path().display())
}

fn different(ids: Vec<String>) -> usize {
    ids.into_iter().collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_three_times_gets_each_release_once() {
    let directory = tempfile::tempdir().unwrap();
    let down = [
        Taking::Status(500),
        Taking::Status(429),
        Taking::Status(302),
    ];
    let receivers = vec![Receiver::start(&down).await, Receiver::start(&[]).await];
    let stage = Stage::new(&file_cache(&directory), receivers).await;
    let poller = stage.poller(EVERY_SECOND).await;
    poller.next_sync().await;
    assert!(stage.receivers[1].requests().is_empty(), "no news at first");
    stage.upstream.release(FILM);

    let ids = stage.receivers[0].has(4).await;
    assert_eq!(different(ids), 1, "each attempt has the same id");
    stage.receivers[1].has(1).await;
    let is_done = |line: &Value| line["attempts"] == 4;
    poller
        .process
        .wait_for_log("webhook_delivered", is_done)
        .await;
    for Received { headers, body, .. } in stage.receivers.iter().flat_map(Receiver::requests) {
        let webhook = Webhook::new(SECRET).unwrap();
        webhook.verify(body.as_bytes(), &headers).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], "release.appended");
        assert_eq!(body["data"]["title"], FILM);
        assert_eq!(body["text"], format!("New film: {FILM}"));
        assert_eq!(body["content"], format!("New film: {FILM}"));
    }

    // Nothing comes a second time: after some syncs, after a restart, or with the next release.
    for _ in 0..2 {
        poller.next_sync().await;
    }
    let said = poller.process.stderr().concat();
    let failing = said.matches("webhook_failing").count();
    assert!(failing == 1 && !said.contains("s3cret"), "{said}");
    stop(poller).await;
    let poller = stage.poller(EVERY_SECOND).await;
    poller.next_sync().await;
    stage.upstream.release("How Do You Live?");
    assert_eq!(different(stage.receivers[1].has(2).await), 2);
    assert_eq!(different(stage.receivers[0].has(5).await), 2);
    poller.next_sync().await;
    assert_eq!(stage.receivers[1].requests().len(), 2);
}

/// What happened to the leader, and what the receiver has seen when it dies.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_at_any_step_loses_no_release_and_doubles_none_by_id() {
    for step in ["before the commit", "in the request", "after the answer"] {
        let directory = tempfile::tempdir().unwrap();
        let taking: &[_] = match step {
            "in the request" => &[Taking::Holds],
            _ => &[],
        };
        let receivers = vec![Receiver::start(taking).await];
        let stage = Stage::new(&file_cache(&directory), receivers).await;
        let receiver = &stage.receivers[0];
        stage.upstream.release(FILM);
        let expected = if step == "before the commit" {
            stage.upstream.misbehave_on("films", Fault::Stall);
            let asked = stage.upstream.counts().requests;
            let mut process = stage.configured(NEVER).spawn();
            stage
                .upstream
                .wait_for("five requests", |counts| counts.requests >= asked + 5)
                .await;
            process.kill().await;
            stage.upstream.behave();
            1
        } else {
            let mut poller = stage.poller(NEVER).await;
            receiver.has(1).await;
            if step == "after the answer" {
                poller
                    .process
                    .wait_for_log("webhook_delivered", |_| true)
                    .await;
            }
            poller.process.kill().await;
            2
        };
        let poller = stage.poller(EVERY_SECOND).await;
        let ids = receiver.has(expected).await;
        assert_eq!((ids.len(), different(ids)), (expected, 1), "{step}");
        for _ in 0..2 {
            poller.next_sync().await;
        }
        assert_eq!(receiver.requests().len(), expected, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_delivers_what_a_dead_leader_could_not() {
    let redis = Redis::start().await;
    let receivers = vec![Receiver::start(&[Taking::Holds]).await];
    let stage = Stage::new(&redis.url(), receivers).await;
    let mut leader = stage.poller(EVERY_SECOND).await;
    leader.next_sync().await;
    let standby = stage.poller(EVERY_SECOND).await;
    stage.upstream.release(FILM);
    stage.receivers[0].has(1).await;
    leader.process.kill().await;
    let ids = stage.receivers[0].has(2).await;
    assert_eq!(different(ids), 1);
    let delivered = standby.process.wait_for_log("webhook_delivered", |_| true);
    delivered.await;
    standby.next_sync().await;
    assert_eq!(stage.receivers[0].requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_without_a_secret_are_refused() {
    let environment = [("WEBHOOK_URLS", "https://chat.example/s3cret".to_owned())];
    let mut poller = Process::spawn("poller", &binaries().poller, &["run"], &environment);
    assert_eq!(poller.wait().await.code(), Some(64));
    let said = poller.stderr().concat();
    let expected = "WEBHOOK_SECRET: missing, and WEBHOOK_URLS need it";
    assert!(
        said.contains(expected) && !said.contains("s3cret"),
        "{said}"
    );
}
