//! The client's limits, its keep-alive, and the hammer.

use std::time::{Duration, Instant};

use testkit::client::{Connection, hammer, raw, try_get};
use testkit::sample;
use testkit::upstream::{Fault, Upstream};

#[tokio::test]
async fn one_connection_serves_many_requests_and_survives_an_idle_close() {
    let upstream = Upstream::start(sample::catalogue());
    let url = format!("{}/films", upstream.url());
    let mut connection = Connection::new();
    for _ in 0..5 {
        assert_eq!(connection.get(&url).await.expect("an answer").status, 200);
    }
    assert_eq!((connection.opened(), upstream.counts().connections), (1, 1));

    upstream.go_down();
    upstream.come_back();
    assert_eq!(
        connection.get(&url).await.expect("a new connection").status,
        200
    );
    assert_eq!(connection.opened(), 2);
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_is_an_error_that_names_it() {
    let url = format!("http://127.0.0.1:{}/films", testkit::free_port());
    let error = try_get(&url).await.expect_err("nobody listens");
    assert!(error.to_string().contains(&url), "{error:#}");
    assert!(try_get("https://127.0.0.1/").await.is_err());
    assert!(try_get("nonsense").await.is_err());
}

#[tokio::test]
async fn silence_is_given_up_after_ten_seconds() {
    let upstream = Upstream::start(sample::catalogue());
    upstream.misbehave(Fault::Stall);
    let asked = Instant::now();
    let error = try_get(&upstream.url()).await.expect_err("no answer");
    assert!(
        error.root_cause().to_string().contains("within 10s"),
        "{error:#}"
    );
    assert!((10..15).contains(&asked.elapsed().as_secs()));
}

#[tokio::test]
async fn the_hammer_counts_every_request() {
    let upstream = Upstream::start(sample::catalogue());
    let urls: Vec<_> = ["/films", "/people", "/unknown", "/species"]
        .iter()
        .map(|path| format!("{}{path}", upstream.url()))
        .collect();

    let tally = hammer(&urls, 400, 8).await;
    assert_eq!(
        (tally.answered, tally.failed, tally.connections),
        (400, 0, 8)
    );
    assert_eq!(
        tally.statuses.into_iter().collect::<Vec<_>>(),
        [(200, 300), (404, 100)]
    );
    assert_eq!(tally.first_failure, None);
    assert!(tally.longest > Duration::ZERO);
    assert_eq!(
        (upstream.counts().requests, upstream.counts().connections),
        (400, 8)
    );
    assert!(hammer(&urls[..1], 10, 20).await.all_ok());

    upstream.misbehave(Fault::Refuse);
    let tally = hammer(&urls, 20, 4).await;
    assert_eq!((tally.answered, tally.failed), (0, 20));
    assert!(tally.first_failure.is_some());
    assert!(!tally.all_ok());
}

#[tokio::test]
async fn raw_bytes_get_raw_bytes_back() {
    let upstream = Upstream::start(sample::catalogue());
    let address = ("127.0.0.1", upstream.port());

    let said = raw(address, b"nonsense\r\n\r\n", Duration::from_secs(5)).await;
    assert!(said.starts_with(b"HTTP/1.1 400 "));

    let asked = Instant::now();
    let half = raw(
        address,
        b"GET /films HTTP/1.1\r\n",
        Duration::from_millis(100),
    )
    .await;
    assert!(half.is_empty() && asked.elapsed() < Duration::from_secs(5));
    assert!(
        raw(
            ("127.0.0.1", testkit::free_port()),
            b"x",
            Duration::from_secs(5)
        )
        .await
        .is_empty()
    );
}
