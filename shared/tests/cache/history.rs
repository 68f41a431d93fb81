//! The earlier generations: how many are kept, and that they never stand in the way of a commit.

use shared::cache::CacheUrl;
use shared::cache::write::{Commit, Lease, MOST_KEPT, Past, Writer};
use testkit::redis::Redis;

use super::{LEASE, commit, directory, snapshot, status, writer};

async fn generations(writer: &mut Writer) -> Vec<u64> {
    let history = writer.history().await.unwrap();
    let read = |past: &Past| past.read().unwrap().generation;
    history.iter().map(read).collect()
}

async fn keeps_the_last_ones(url: CacheUrl) {
    let mut writer = writer(&url, "one");
    assert_eq!(writer.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut writer, 0, 1).await.unwrap();
    assert_eq!(generations(&mut writer).await, [0_u64; 0]);
    // The same generation again, with another validator for example, is no earlier one.
    commit(&mut writer, 1, 1).await.unwrap();
    let status_alone = Commit {
        expected: 1,
        snapshot: None,
        status: &status(1),
    };
    writer.commit(status_alone).await.unwrap();
    assert_eq!(generations(&mut writer).await, [0_u64; 0]);
    for generation in 2..=15 {
        commit(&mut writer, generation - 1, generation)
            .await
            .unwrap();
    }
    let last: Vec<u64> = (5..=14).rev().collect();
    assert_eq!(last.len(), MOST_KEPT);
    assert_eq!(generations(&mut writer).await, last);
    let newest = writer.history().await.unwrap().remove(0).read().unwrap();
    assert_eq!(newest, snapshot(14, 3));

    // Large ones: three fit.
    for generation in 16..=20 {
        let mut large = snapshot(generation, 3);
        large.upstream = "x".repeat(5 << 20);
        let commit = Commit {
            expected: generation - 1,
            snapshot: Some(&large),
            status: &status(generation),
        };
        writer.commit(commit).await.unwrap();
    }
    assert_eq!(generations(&mut writer).await, [19, 18, 17]);
    assert!(writer.erase().await.is_err(), "no drill");
    assert_eq!(
        writer.load().await.unwrap().snapshot.unwrap().generation,
        20
    );
}

#[tokio::test]
async fn a_directory_keeps_the_last_generations() {
    let (_directory, url) = directory();
    keeps_the_last_ones(url).await;
}

#[tokio::test]
async fn redis_keeps_the_last_generations() {
    let redis = Redis::start().await;
    keeps_the_last_ones(redis.url().parse().unwrap()).await;
}

/// A Redis whose operator has not granted the new commands yet, or whose key is something else.
#[tokio::test]
async fn without_the_permission_commits_go_on() {
    let redis = Redis::start().await;
    let user = ["ACL", "SETUSER", "poller", "on", ">s3cret", "~{ghibli}:*"];
    let may = ["&{ghibli}:changed", "+ping", "+get", "+getrange", "+set"];
    let more = ["+del", "+publish", "+evalsha", "+script|load"];
    let reply = redis.cli(&[&user[..], &may, &more].concat()).await;
    assert_eq!(reply, "OK");
    let url = redis.url().replace("://", "://poller:s3cret@");
    let mut one = writer(&url.parse().unwrap(), "one");
    assert_eq!(one.lease(LEASE).await.unwrap(), Lease::Held);
    for generation in 1..4 {
        commit(&mut one, generation - 1, generation).await.unwrap();
    }
    let error = one.history().await.unwrap_err().to_string();
    assert!(error.contains("lrange"), "{error}");
    assert_eq!(redis.cli(&["EXISTS", "{ghibli}:history"]).await, "0");

    redis.cli(&["SET", "{ghibli}:history", "text"]).await;
    redis.cli(&["ACL", "SETUSER", "poller", "+@all"]).await;
    commit(&mut one, 3, 4).await.unwrap();
    redis.cli(&["DEL", "{ghibli}:history"]).await;
    commit(&mut one, 4, 5).await.unwrap();
    assert_eq!(generations(&mut one).await, [4]);
}

#[tokio::test]
async fn a_directory_without_room_for_the_past_takes_commits() {
    let (_directory, url) = directory();
    let CacheUrl::File(path) = &url else {
        unreachable!()
    };
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("history"), "in the way").unwrap();
    let mut one = writer(&url, "one");
    assert_eq!(one.lease(LEASE).await.unwrap(), Lease::Held);
    for generation in 1..4 {
        commit(&mut one, generation - 1, generation).await.unwrap();
    }
    assert_eq!(one.load().await.unwrap().snapshot.unwrap().generation, 3);
    assert_eq!(generations(&mut one).await, [0_u64; 0]);
}

#[tokio::test]
async fn a_full_redis_gives_up_the_past_for_the_present() {
    let redis = Redis::start().await;
    let mut one = writer(&redis.url().parse().unwrap(), "one");
    assert_eq!(one.lease(LEASE).await.unwrap(), Lease::Held);
    for generation in 1..4 {
        let mut large = snapshot(generation, 3);
        large.upstream = "x".repeat(4 << 20);
        let commit = Commit {
            expected: generation - 1,
            snapshot: Some(&large),
            status: &status(generation),
        };
        one.commit(commit).await.unwrap();
    }
    let used = redis.cli(&["INFO", "memory"]).await;
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.unwrap().trim().parse().unwrap();
    let limit = (used - (1 << 20)).to_string();
    redis.cli(&["CONFIG", "SET", "maxmemory", &limit]).await;
    assert_eq!(one.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut one, 3, 4).await.unwrap();
    assert_eq!(one.load().await.unwrap().snapshot.unwrap().generation, 4);
}
