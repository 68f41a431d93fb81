//! The main job, with real processes: every reader soon serves what the upstream has, each record
//! once, and at no cost to the upstream.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client::{get, hammer};
use testkit::process::{Poller, RunningServer, Server};
use testkit::redis::Redis;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, catalogue, eventually};

const EVERY_SECOND: &str = "* * * * * *";
const COLLECTIONS: [&str; 5] = ["films", "people", "locations", "species", "vehicles"];

/// Three readers of one cache.
async fn three_readers(cache: &str) -> Vec<RunningServer> {
    let server = Server::new(cache).env("LINKS", "upstream");
    vec![
        server.start().await,
        server.start().await,
        server.start().await,
    ]
}

async fn films(reader: &RunningServer) -> Vec<Value> {
    let films = get(&format!("{}/films", reader.url())).await;
    if films.status == 200 {
        films.json().as_array().unwrap().clone()
    } else {
        Vec::new()
    }
}

async fn titles(reader: &RunningServer) -> Vec<String> {
    let films = films(reader).await;
    films
        .iter()
        .map(|film| film["title"].as_str().unwrap().to_owned())
        .collect()
}

/// Done when 2: a release and a change reach every reader; readers send the upstream nothing.
async fn mirrors(cache: &str) {
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), cache)
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let readers = three_readers(cache).await;

    // A cold fill costs five requests.
    poller.synced("committed").await;
    let first = upstream.requests();
    assert_eq!(
        first
            .iter()
            .take(5)
            .filter(|request| request.if_none_match.is_none())
            .count(),
        5
    );
    for reader in &readers {
        let filled = async || films(reader).await.len() == 22;
        eventually("all films", TIME_LIMIT, filled).await;
    }

    // A quiet sync costs five conditional requests without a body.
    let before = upstream.counts();
    assert_eq!(
        before.requests - before.conditional,
        5,
        "only the cold fill is unconditional"
    );
    let quiet = upstream
        .wait_for("a quiet sync", |now| now.requests >= before.requests + 10)
        .await;
    assert_eq!(
        quiet.conditional - before.conditional,
        quiet.requests - before.requests
    );
    assert_eq!(quiet.body_bytes, before.body_bytes);

    // A new film appears on every reader, once, at the end. The test prints the time and does not
    // check it, because it depends on this machine's other work.
    let released = Instant::now();
    upstream.release("The Boy and the Heron");
    for reader in &readers {
        let shown = async || {
            titles(reader)
                .await
                .contains(&"The Boy and the Heron".to_owned())
        };
        eventually("the release", TIME_LIMIT, shown).await;
        let titles = titles(reader).await;
        assert_eq!(titles.len(), 23);
        assert_eq!(titles.last().unwrap(), "The Boy and the Heron");
    }
    println!(
        "released, and on all three readers {:?} later; a cycle is 1 s",
        released.elapsed()
    );
    let line = poller
        .process
        .wait_for_log("release_appended", |_| true)
        .await;
    assert_eq!(
        (&line["sequence"], &line["title"]),
        (&1.into(), &"The Boy and the Heron".into())
    );

    // A changed film changes on every reader, in its place.
    let totoro = &films(&readers[0]).await[2];
    let id = totoro["id"].as_str().unwrap();
    upstream.change("films", id, "rt_score", "94");
    for reader in &readers {
        let changed = async || films(reader).await[2]["rt_score"] == "94";
        eventually("the change", TIME_LIMIT, changed).await;
    }
    let line = poller
        .process
        .wait_for_log("record_changed", |_| true)
        .await;
    assert_eq!(
        (&line["id"], &line["fields"]),
        (&id.into(), &"rt_score".into())
    );

    // Ten thousand requests to readers send the upstream none: with the poller gone, nothing is
    // left that could ask it.
    let mut poller = poller;
    poller.process.kill().await;
    let before = upstream.counts();
    let paths = [
        "films",
        "people",
        "movies",
        "db",
        "locations",
        "species",
        "vehicles",
    ];
    let urls: Vec<_> = readers
        .iter()
        .flat_map(|reader| paths.map(|path| format!("{}/{path}", reader.url())))
        .collect();
    let tally = hammer(&urls, 10_000, 16).await;
    assert!(tally.all_ok(), "{tally:?}");
    assert_eq!(tally.answered, 10_000);
    assert_eq!(upstream.counts(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_carries_every_release_and_change_to_three_readers() {
    let redis = Redis::start().await;
    mirrors(&redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_carries_every_release_and_change_to_three_readers() {
    let directory = tempfile::tempdir().unwrap();
    mirrors(&format!("file:{}", directory.path().display())).await;
}

/// Done when 4: the bytes are the upstream's bytes.
#[tokio::test(flavor = "multi_thread")]
async fn every_body_is_the_upstreams_body_byte_for_byte() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/upstream/data.json");
    let data = match std::fs::read(&real) {
        Ok(json) => serde_json::from_slice(&json).unwrap(),
        // The built-in catalogue has the same form. The real one lies beside the checkout only
        // where reading it is allowed.
        Err(_) => catalogue(),
    };
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(data.clone());
    let poller = Poller::new(&upstream.url(), &cache).start().await;
    poller.synced("committed").await;
    let reader = Server::new(&cache).env("LINKS", "upstream").start().await;
    reader.loaded().await;

    let same = async |path: &str| {
        let (theirs, ours) = (
            get(&format!("{}{path}", upstream.url())).await,
            get(&format!("{}{path}", reader.url())).await,
        );
        assert_eq!(ours.status, theirs.status, "{path}");
        assert_eq!(
            ours.header("content-type"),
            theirs.header("content-type"),
            "{path}"
        );
        assert_eq!(ours.header("etag"), theirs.header("etag"), "{path}");
        assert_eq!(ours.body, theirs.body, "{path}");
        ours.body
    };
    for collection in COLLECTIONS {
        let body = same(&format!("/{collection}")).await;
        assert_eq!(
            body,
            serde_json::to_string_pretty(&data[collection]).unwrap()
        );
        for record in data[collection].as_array().unwrap() {
            same(&format!("/{collection}/{}", record["id"].as_str().unwrap())).await;
        }
    }
    for path in [
        "/db",
        "/films/",
        "/Films",
        "/films/unknown",
        "/nope",
        "//films",
    ] {
        same(path).await;
    }
}

/// All known faults of an upstream, and the reason that operators read. Neighbours have different
/// reasons, so that a test cannot confuse one with the fault before it.
fn faults() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::Refuse, "the connection broke: "),
        (Fault::Stall, "no complete answer in time"),
        (
            Fault::ResetMidBody,
            "reset by peer (os error 104) (status 200",
        ),
        (Fault::Drip, "no complete answer in time"),
        (Fault::Truncate, "the connection broke: end of file"),
        (Fault::Html, "text/html; charset=utf-8, \"Unavailable\""),
        (
            Fault::EmptyObject,
            "expected an array of records, got an object",
        ),
        (Fault::NotJson, "not JSON"),
        (
            Fault::EmptyList,
            "suspicious: 21 of 21 known records are gone",
        ),
        (Fault::Status(500), "status 500"),
        (
            Fault::RateLimited {
                retry_after: Duration::from_secs(1),
            },
            "rate limited, asks to wait 1s",
        ),
        (
            Fault::RedirectTo("http://127.0.0.1:1/films".into()),
            "away from the upstream's origin",
        ),
        (
            Fault::GzipBomb {
                decompressed_bytes: 64 << 20,
            },
            "larger than 1048576 bytes",
        ),
        (
            Fault::DeeplyNested { depth: 20_000 },
            "more than 20000 values",
        ),
    ]
}

/// Rules 8, 7 and 3 as an operator sees them, and rule 6 as a client sees it.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_withdraws_and_misbehaves_takes_nothing_away() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .env("UPSTREAM_TIMEOUT", "2s")
        .start()
        .await;
    let reader = Server::new(&cache).start().await;
    let log = &poller.process;
    poller.synced("committed").await;
    eventually("all films", TIME_LIMIT, async || {
        films(&reader).await.len() == 22
    })
    .await;

    let totoro = films(&reader).await[2]["id"].as_str().unwrap().to_owned();
    upstream.withdraw("films", &totoro);
    let withdrawn = "record_withdrawn";
    log.wait_for_log(withdrawn, |line| line["id"] == totoro)
        .await;
    assert_eq!(films(&reader).await.len(), 22);

    for (fault, reason) in faults() {
        let mark = log.mark();
        upstream.misbehave_on("films", fault.clone());
        // With validators, the upstream could answer 304 and would not misbehave, so the film
        // changes.
        let id = films(&reader).await[0]["id"].as_str().unwrap().to_owned();
        upstream.change("films", &id, "rt_score", format!("{fault:?}"));
        let line = log
            .wait_for_log_since(mark, "sync_completed", |line| {
                line["reason"]
                    .as_str()
                    .is_some_and(|text| text.contains(reason))
            })
            .await;
        assert!(
            line["reason"].as_str().unwrap().starts_with("films: "),
            "{line}"
        );
        assert_eq!(
            (&line["outcome"], &line["films.count"]),
            (&"partial".into(), &22.into()),
            "{fault:?}"
        );
        if line["films.result"] == "rejected" {
            let rejected = |line: &Value| line["collections"] == "films" && line["level"] == "WARN";
            log.wait_for_log_since(mark, "answer_rejected", rejected)
                .await;
        }
        assert_eq!(films(&reader).await.len(), 22, "{fault:?}");
        upstream.behave();
        // The first sync without a fault takes the change; then the next fault is news.
        let confirmed = |line: &Value| line["reason"].is_null();
        log.wait_for_log_since(log.mark(), "sync_completed", confirmed)
            .await;
    }
    let line = poller.next_sync().await;
    assert_eq!(line["outcome"], "unchanged", "{line}");

    let mark = log.mark();
    upstream.misbehave_on("people", Fault::DuplicateIds);
    upstream.change(
        "people",
        catalogue()["people"][0]["id"].as_str().unwrap(),
        "age",
        "13",
    );
    let duplicate = "duplicate_id";
    log.wait_for_log_since(mark, duplicate, |line| line["collection"] == "people")
        .await;
    let people = async || get(&format!("{}/people", reader.url())).await.json();
    let is_changed = async || people().await[0]["age"] == "13";
    eventually("the change", TIME_LIMIT, is_changed).await;
    assert_eq!(people().await.as_array().unwrap().len(), 57);
}
