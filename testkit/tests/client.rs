//! The client's keep-alive, and the hammer.

use std::time::Duration;

use testkit::client::{Connection, hammer};
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
