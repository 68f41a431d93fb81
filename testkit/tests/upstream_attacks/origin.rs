//! No request leaves the upstream's origin, whatever redirects, headers and records contain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::client::get;
use testkit::process::Server;
use testkit::sample::COLLECTIONS;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, catalogue, eventually};
use tokio::net::{TcpListener, TcpStream};

use super::{for_all, polling, reason};

/// The log's text for a redirect that the poller did not follow.
const AWAY: &str = "redirected away from the upstream's origin (status 30";

/// Listens on a neighbour's port, over IPv4 and IPv6. No request may ever arrive there.
struct Canary {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Canary {
    async fn start() -> Self {
        let visits = Arc::new(AtomicUsize::new(0));
        let four = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = four.local_addr().unwrap().port();
        let six = TcpListener::bind(("::1", port)).await.ok();
        for listener in [Some(four), six].into_iter().flatten() {
            let visits = visits.clone();
            tokio::spawn(async move {
                while listener.accept().await.is_ok() {
                    visits.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }

    /// Shows that the canary would notice a request.
    async fn is_alive(&self) {
        let before = self.visits();
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let noticed = async || self.visits() == before + 1;
        eventually("the canary's own visitor", TIME_LIMIT, noticed).await;
    }
}

/// Targets of redirects, for an upstream and a canary on these ports.
fn elsewhere(upstream: u16, canary: u16) -> Vec<String> {
    vec![
        format!("http://127.0.0.1:{canary}/films"),
        format!("//127.0.0.1:{canary}/films"),
        format!("\\\\127.0.0.1:{canary}\\films"),
        format!("/\\127.0.0.1:{canary}/films"),
        format!("http:\\\\127.0.0.1:{canary}/films"),
        format!("http://user:secret@127.0.0.1:{canary}/films"),
        format!("http://127.0.0.1:{upstream}@127.0.0.1:{canary}/films"),
        format!("http://2130706433:{canary}/films"),
        format!("http://[::1]:{canary}/films"),
        format!("http://[::ffff:127.0.0.1]:{canary}/films"),
        // The upstream itself under another scheme or name is also another origin.
        format!("https://127.0.0.1:{upstream}/films"),
        format!("http://localhost:{upstream}/films"),
        format!("http://[::ffff:127.0.0.1]:{upstream}/films"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        "data:application/json,[]".to_owned(),
        format!("ftp://127.0.0.1:{canary}/films"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_to_another_origin() {
    let (upstream, canary) = (Upstream::start(catalogue()), Canary::start().await);
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    // The fault exists from the start, so there is no validator yet.
    upstream.misbehave(Fault::RedirectTo(format!(
        "http://127.0.0.1:{}/",
        canary.port
    )));
    let poller = polling(&upstream.url(), &cache).await;
    for location in elsewhere(upstream.port(), canary.port) {
        // One status for each collection.
        let statuses = [301, 302, 303, 307, 308];
        for (collection, status) in COLLECTIONS.into_iter().zip(statuses) {
            let redirect = Fault::Answer {
                status,
                headers: vec![("location", location.clone())],
            };
            upstream.misbehave_on(collection, redirect);
        }
        let before = upstream.counts().requests;
        let reason = reason(&poller).await;
        // A location without a host does not count as a redirect.
        let names_a_host = !location.starts_with("file:") && !location.starts_with("data:");
        for (collection, status) in COLLECTIONS.into_iter().zip(statuses) {
            let expected = if names_a_host {
                format!(
                    "{collection}: redirected away from the upstream's origin (status {status}, redirected to "
                )
            } else {
                format!(
                    "{collection}: status {status} (application/json; charset=utf-8, redirected to {location}, "
                )
            };
            assert!(reason.contains(&expected), "{location}: {reason}");
        }
        assert!(!reason.contains("secret"), "{reason}");
        // Five requests in each cycle and no more: for the cycle that was running, the checked one,
        // and one that may have begun since.
        let asked = upstream.counts().requests - before;
        assert!(asked <= 15, "{location}: {asked} requests");
    }
    // First a redirect within the origin, then one away from it.
    let away = format!("http://127.0.0.1:{}/people", canary.port);
    let redirect_away = Fault::RedirectTo(away.clone());
    for collection in COLLECTIONS {
        upstream.misbehave_on(collection, Fault::RedirectTo("/people".into()));
    }
    upstream.misbehave_on("people", redirect_away);
    assert_eq!(
        reason(&poller).await,
        for_all(&format!("{AWAY}2, redirected to {away})"))
    );

    assert_eq!(canary.visits(), 0);
    canary.is_alive().await;
}

/// A redirect loop ends after a few rounds; the poller follows an honest redirect in the origin.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_within_the_origin_are_followed_a_few_times() {
    let upstream = Upstream::start(catalogue());
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    upstream.misbehave(Fault::RedirectTo("/films".into()));
    let poller = testkit::process::Poller::new(&upstream.url(), &cache)
        .schedule("0 0 0 1 1 *")
        .start()
        .await;
    let line = poller
        .process
        .wait_for_log("sync_completed", |_| true)
        .await;
    let reason = line["reason"].as_str().unwrap();
    assert!(reason.contains("redirected too often"), "{reason}");
    let asked = upstream.counts().requests;
    assert_eq!(asked, 5 * 4, "five collections, each followed three times");

    upstream.behave();
    upstream.misbehave_on("films", Fault::RedirectTo("/db".into()));
    let mut sync = testkit::process::Process::spawn(
        "sync",
        testkit::process::binaries().poller,
        &["sync"],
        &[
            ("GHIBLI_API", upstream.url()),
            ("CACHE_URL", format!("{cache}/other")),
        ],
    );
    sync.wait().await;
    let output = sync.stdout().join("\n");
    assert!(
        output.contains("expected an array of records, got an object"),
        "{output}"
    );
}

/// Text that names the canary, in each form in which data contains URLs.
fn bait(canary: u16) -> impl Fn(&mut Value) {
    move |value| *value = format!("http://127.0.0.1:{canary}/{}", value.as_str().unwrap()).into()
}

/// Applies a change to every text in a value, except ids.
fn each_text(value: &mut Value, change: &impl Fn(&mut Value)) {
    match value {
        Value::String(_) => change(value),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => fields
            .iter_mut()
            .filter(|(name, _)| *name != "id")
            .for_each(|(_, field)| each_text(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_in_records_and_headers_are_never_fetched() {
    let canary = Canary::start().await;
    let mut hostile = catalogue();
    each_text(&mut hostile, &bait(canary.port));
    let upstream = Upstream::start(hostile);
    let url = format!("http://127.0.0.1:{}/films", canary.port);
    let headers = [
        (
            "link",
            format!("<{url}>; rel=\"next\", <{url}>; rel=preload"),
        ),
        ("refresh", format!("0; url={url}")),
        (
            "alt-svc",
            format!("h2=\"127.0.0.1:{0}\", h3=\":{0}\"; ma=9999", canary.port),
        ),
        ("location", url.clone()),
        ("content-location", url.clone()),
        ("strict-transport-security", "max-age=9999".to_owned()),
        ("set-cookie", "a=b".to_owned()),
        ("proxy-authenticate", "Basic realm=x".to_owned()),
        ("x-forwarded-host", format!("127.0.0.1:{}", canary.port)),
    ];
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    for status in [200, 300, 305, 401, 407, 201] {
        upstream.misbehave(Fault::Answer {
            status,
            headers: headers.to_vec(),
        });
        let environment = [("GHIBLI_API", upstream.url()), ("CACHE_URL", cache.clone())];
        let poller = testkit::process::binaries().poller;
        let mut sync = testkit::process::Process::spawn("sync", poller, &["sync"], &environment);
        let is_good = sync.wait().await.success();
        assert_eq!(is_good, status == 200, "{status}: {:?}", sync.stdout());
    }
    let cookies = upstream.requests();
    assert!(
        cookies
            .iter()
            .all(|request| !request.headers.contains_key("cookie"))
    );
    assert_eq!(
        upstream.counts().requests,
        6 * 5,
        "none on top of five a sync"
    );

    // No request of a client makes a server fetch these URLs.
    let server = Server::new(&cache).start().await;
    let shown = async || get(&format!("{}/films", server.url())).await.text();
    eventually("the hostile films", Duration::from_secs(20), async || {
        shown().await.contains("Castle in the Sky")
    })
    .await;
    for path in [
        "/movies",
        "/db",
        "/films?_embed=people",
        "/people?_expand=film",
    ] {
        let answer = get(&format!("{}{path}", server.url())).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(canary.visits(), 0);
    canary.is_alive().await;
}
