//! The age that answers report.

use std::time::{Duration, Instant};

use testkit::mirror::Mirror;
use testkit::process::{Poller, RunningServer};
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::{ask, get_with};

async fn age(server: &RunningServer) -> Option<u64> {
    let answer = get_with(server, "/films", &[]).await;
    Some(answer.header("age")?.parse().unwrap())
}

#[tokio::test]
async fn age_is_the_time_since_the_last_confirmed_sync() {
    let mirror = Mirror::empty(catalogue());
    let started = Instant::now();
    mirror.sync().await;
    let synced = Instant::now();
    let server = mirror.server(&[]).await;

    let two_seconds = async || age(&server).await >= Some(2);
    eventually("an age of two seconds", TIME_LIMIT, two_seconds).await;
    for path in [
        "/films",
        "/db",
        "/movies",
        "/films?limit=1",
        "/films/unknown",
    ] {
        for method in ["GET", "HEAD"] {
            let least = synced.elapsed();
            let answer = ask(&server, method, path, &[]).await;
            let age: u64 = answer.header("age").unwrap().parse().unwrap();
            let most = started.elapsed();
            // Whole seconds, rounded down.
            assert!(
                age + 1 >= least.as_secs() && age <= most.as_secs(),
                "{path}: {age}"
            );
        }
    }

    // A sync that finds nothing new confirms the present data.
    let again = Instant::now();
    mirror.sync().await;
    let confirmed = Instant::now();
    let young = async || {
        let most = again.elapsed().as_secs();
        age(&server).await.is_some_and(|age| age <= most)
    };
    eventually("an age that starts again", TIME_LIMIT, young).await;

    // A failed sync confirms nothing.
    let old = async || age(&server).await >= Some(3);
    eventually("an age of three seconds", TIME_LIMIT, old).await;
    mirror.upstream.go_down();
    let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url())
        .start()
        .await;
    poller.synced("failed").await;
    // A sync by hand does not set the time of the next one.
    let is_known = async || ttl(&parameters_of(&server).await).is_some();
    eventually("word of the failed sync", TIME_LIMIT, is_known).await;
    let least = confirmed.elapsed().as_secs();
    let age = age(&server).await.unwrap();
    assert!(age + 1 >= least, "{age}");
}

/// The parameters of the single entry of a `Cache-Status` (RFC 9211, a list of RFC 8941).
fn cache_status(field: &str) -> Vec<(String, String)> {
    assert!(
        !field.contains([',', '"']),
        "one entry, and tokens alone: {field}"
    );
    let mut parts = field.split(';').map(|part| part.trim_start_matches(' '));
    assert_eq!(parts.next(), Some("ghibli-mirror"));
    let parameters = parts.map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, "?1"));
        let is_key = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        assert!(name.bytes().all(is_key) && !value.is_empty(), "{field}");
        (name.to_owned(), value.to_owned())
    });
    parameters.collect()
}

async fn parameters_of(server: &RunningServer) -> Vec<(String, String)> {
    let answer = get_with(server, "/films", &[]).await;
    cache_status(answer.header("cache-status").unwrap())
}

fn ttl(parameters: &[(String, String)]) -> Option<i64> {
    let mut parameters = parameters.iter();
    let (_, ttl) = parameters.find(|(name, _)| name == "ttl")?;
    Some(ttl.parse().unwrap())
}

#[tokio::test]
async fn cache_status_says_when_the_next_sync_is_due() {
    let mirror = Mirror::of(catalogue()).await;
    let mut poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url())
        .start()
        .await;
    poller
        .process
        .wait_for_log("sync_completed", |_| true)
        .await;
    let server = mirror.server(&[]).await;
    let parameters = parameters_of(&server).await;
    assert_eq!(parameters[0], ("hit".to_owned(), "?1".to_owned()));
    assert!(
        (-5..=60).contains(&ttl(&parameters).unwrap()),
        "{parameters:?}"
    );
    assert_eq!(parameters.len(), 2, "{parameters:?}");

    // A sync that does not happen is overdue.
    poller.process.kill().await;
    let mut often = Poller::new(&mirror.upstream.url(), &mirror.cache_url())
        .schedule("* * * * * *")
        .start()
        .await;
    let soon = async || ttl(&parameters_of(&server).await).is_some_and(|ttl| ttl <= 1);
    eventually("a sync every second", Duration::from_secs(90), soon).await;
    often.process.kill().await;
    let overdue = async || ttl(&parameters_of(&server).await).is_some_and(|ttl| ttl < 0);
    eventually("an overdue sync", TIME_LIMIT, overdue).await;
}

#[tokio::test]
async fn the_built_in_catalogue_has_no_age_and_is_marked_as_built_in() {
    let mirror = Mirror::built_in().await;
    let server = mirror.server(&[]).await;
    assert_eq!(age(&server).await, None);
    let detail = ("detail".to_owned(), "built-in".to_owned());
    assert!(parameters_of(&server).await.contains(&detail));

    mirror.upstream.come_back();
    mirror.sync().await;
    let young = async || age(&server).await.is_some();
    eventually("an age", TIME_LIMIT, young).await;
    assert!(!parameters_of(&server).await.contains(&detail));
}
