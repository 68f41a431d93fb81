//! The private Redis starts, forgets or remembers, dies, freezes and returns.

use std::time::Duration;

use testkit::redis::Redis;
use tokio::net::TcpStream;

#[tokio::test]
async fn it_forgets_when_it_is_killed() {
    let mut redis = Redis::start().await;
    let (url, port) = (redis.url(), redis.port());
    assert_eq!(url, format!("redis://127.0.0.1:{port}"));
    assert_eq!(redis.cli(&["SET", "title", "Ponyo"]).await, "OK");
    assert_eq!(redis.cli(&["GET", "title"]).await, "Ponyo");

    redis.kill().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());

    redis.restart().await;
    assert_eq!(
        (redis.url(), redis.cli(&["EXISTS", "title"]).await),
        (url, "0".to_owned())
    );
}

#[tokio::test]
async fn it_freezes_and_thaws() {
    let redis = Redis::start().await;
    redis.pause();
    let frozen = tokio::time::timeout(Duration::from_millis(300), redis.cli(&["PING"])).await;
    assert!(frozen.is_err(), "a frozen Redis answered");
    redis.resume();
    assert_eq!(redis.cli(&["PING"]).await, "PONG");
}

#[tokio::test]
async fn nothing_is_left_when_it_is_dropped() {
    let redis = Redis::start().await;
    let (port, directory) = (redis.port(), redis.directory().to_owned());
    assert!(directory.is_dir());
    redis.pause();
    drop(redis);

    assert!(!directory.exists());
    testkit::eventually(
        "the frozen Redis is gone",
        Duration::from_secs(5),
        async || TcpStream::connect(("127.0.0.1", port)).await.is_err(),
    )
    .await;
}
