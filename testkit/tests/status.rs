//! `/status` of real servers: what visitors see in each trouble, and what they never see.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;

use serde_json::Value;
use testkit::client::{Response, get};
use testkit::mirror::Mirror;
use testkit::process::{Poller, RunningServer, Server, binaries};
use testkit::{TIME_LIMIT, catalogue, eventually};

async fn status(server: &RunningServer) -> Value {
    get(&format!("{}/status.json", server.url())).await.json()
}

async fn page(server: &RunningServer) -> Response {
    get(&format!("{}/status", server.url())).await
}

/// Waits until the status begins with this sentence. Returns it.
async fn says(server: &RunningServer, beginning: &str) -> Value {
    let says = async || {
        let status = status(server).await;
        let sentence = status["sentence"].as_str().unwrap().to_owned();
        sentence.starts_with(beginning)
    };
    eventually(beginning, TIME_LIMIT, says).await;
    status(server).await
}

#[tokio::test]
async fn nobody_may_keep_it() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for path in ["/status", "/status.json", "/status/", "/status?x=1"] {
        let answer = get(&format!("{}{path}", server.url())).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("etag"), None, "{path}");
        assert!(answer.status == 200 || path == "/status/", "{path}");
    }
}

#[tokio::test]
async fn it_says_that_all_is_well_with_every_count() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let status = says(&server, "All is well: the upstream confirmed everything").await;
    assert_eq!(status["well"], true);
    assert_eq!(status["troubles"], Value::Array(vec![]));
    assert_eq!(status["catalogue"]["source"], "upstream");
    for collection in ["films", "people", "locations", "species", "vehicles"] {
        let records = get(&format!("{}/{collection}", server.url())).await.json();
        let records = records.as_array().unwrap().len();
        assert_eq!(status["collections"][collection]["records"], records);
    }
    let page = page(&server).await.text();
    assert!(page.contains("All is well"), "{page}");
    let version = status["reader"]["version"].as_str().unwrap();
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    assert!(page.contains(version), "{page}");
    let serving = server
        .process
        .wait_for_log("server_started", |_| true)
        .await;
    assert_eq!(serving["version"], version);
    let printed = Command::new(&binaries().server).arg("--version").output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    assert_eq!(printed.trim_end(), format!("ghibli-server {version}"));
    let movies = get(&format!("{}/movies", server.url())).await.text();
    assert!(movies.contains("href=\"/status\""), "no way to the status");
}

#[tokio::test]
async fn it_names_an_upstream_that_never_answered_and_what_is_shown_instead() {
    let mirror = Mirror::built_in().await;
    let server = mirror.server(&[]).await;
    let status = says(&server, "The upstream has never confirmed films, people").await;
    assert_eq!(status["troubles"][1]["kind"], "built-in");
    assert_eq!(status["catalogue"]["source"], "built-in");
}

#[tokio::test]
async fn an_empty_cache_is_named_and_the_answer_comes_all_the_same() {
    let empty = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", empty.path().display());
    let server = Server::new(&cache).start().await;
    let status = says(&server, "This reader has nothing to show").await;
    assert_eq!(status["troubles"][0]["kind"], "cache-empty");
    assert_eq!(status["catalogue"], Value::Null);
    let answer = page(&server).await;
    let place = empty.path().display().to_string();
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains(&place), "{}", answer.text());
}

#[tokio::test]
async fn a_rejected_answer_is_named_with_what_accepting_it_means() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let films = mirror.upstream.catalogue()["films"].as_array().unwrap()[..4].to_vec();
    mirror.upstream.replace("films", films);
    let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url());
    let poller = poller.schedule("* * * * * *").start().await;
    let status = says(
        &server,
        "The poller rejects the upstream's answer for films",
    )
    .await;
    assert_eq!(status["well"], false);
    let state = &status["collections"]["films"];
    assert_eq!(state["rejected"], true);
    let accepting = state["accepting"].as_str().unwrap();
    assert!(accepting.contains("`ghibli-poller accept`"), "{accepting}");
    assert_eq!(status["collections"]["people"]["rejected"], false);
    let page = page(&server).await.text();
    assert!(page.contains("ghibli-poller accept"), "{page}");
    drop(poller);

    // The upstream lists everything again, and the next sync confirms it.
    let mirror_is_whole = catalogue()["films"].as_array().unwrap().clone();
    mirror.upstream.replace("films", mirror_is_whole);
    mirror.sync().await;
    says(&server, "All is well").await;
}

#[tokio::test]
async fn a_cache_that_cannot_be_read_is_named_without_its_place() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let place = mirror.cache_url().strip_prefix("file:").unwrap().to_owned();
    std::fs::write(format!("{place}/status.json"), "{}").unwrap();
    let status = says(
        &server,
        "This reader has not been able to read the cache since",
    )
    .await;
    assert_eq!(status["reader"]["cache_readable"], false);
    let page = page(&server).await.text();
    for text in [page, status.to_string()] {
        assert!(!text.contains(&place), "{text}");
    }
}
