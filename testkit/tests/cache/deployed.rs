//! Redis as operators deploy it: database numbers, changed passwords, sentinels with their own
//! password, and clusters that move keys or do not name their nodes.

use testkit::catalogue;
use testkit::process::{Poller, Server};
use testkit::redis::{Cluster, Failover, Redis};
use testkit::upstream::Upstream;

use super::permissions::redis_with_users;
use super::{FILM, Mirror};

fn url_of(redis: &Redis, user: &str, rest: &str) -> String {
    redis.url().replace("://", &format!("://{user}:s3cret@")) + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_number_needs_a_permission_that_the_log_and_the_readme_name() {
    let redis = redis_with_users().await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &url_of(&redis, "poller", "/2"));
    let server = Server::new(&url_of(&redis, "server", "/2"));
    let helps =
        |line: &serde_json::Value| line["reason"].as_str().unwrap().contains("needs +select");
    let refused = poller.start().await;
    refused
        .process
        .wait_for_log("cache_unreachable", helps)
        .await;
    let unread = server.start().await;
    let message = "cache_unreachable";
    unread.process.wait_for_log(message, helps).await;

    for user in ["poller", "server"] {
        redis.cli(&["ACL", "SETUSER", user, "+select"]).await;
    }
    drop((refused, unread));
    let mirror = Mirror::of(upstream, poller, &server, 1).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
    let readme = include_str!("../../../README.md");
    assert!(readme.contains("with a database number also `+select`, on a cluster also `+asking`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_read_again_from_its_file() {
    let redis = redis_with_users().await;
    let folder = tempfile::tempdir().unwrap();
    let file_of = |user: &str| folder.path().join(user);
    let write = |user: &str, password: &str| {
        let url = redis
            .url()
            .replace("://", &format!("://{user}:{password}@"));
        std::fs::write(file_of(user), format!("{url}\n")).unwrap();
    };
    for user in ["poller", "server"] {
        write(user, "s3cret");
    }
    let upstream = Upstream::start(catalogue());
    let from_file = |user: &str| file_of(user).display().to_string();
    let poller = Poller::new(&upstream.url(), "").env("CACHE_URL_FILE", from_file("poller"));
    let server = Server::new("").env("CACHE_URL_FILE", from_file("server"));
    let mirror = Mirror::of(upstream, poller, &server, 1).await;

    for user in ["poller", "server"] {
        let change = ["ACL", "SETUSER", user, "resetpass", ">n3w"];
        assert_eq!(redis.cli(&change).await, "OK");
        write(user, "n3w");
        redis.cli(&["CLIENT", "KILL", "USER", user]).await;
    }
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_where_there_was_none_is_read_from_its_file() {
    let redis = Redis::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), redis.url()).unwrap();
    let upstream = Upstream::start(catalogue());
    let path = file.path().display().to_string();
    let poller = Poller::new(&upstream.url(), "").env("CACHE_URL_FILE", &path);
    let server = Server::new("").env("CACHE_URL_FILE", &path);
    let mirror = Mirror::of(upstream, poller, &server, 1).await;
    let url = redis.url().replace("://", "://:n3w@");
    std::fs::write(file.path(), url).unwrap();
    redis.cli(&["CONFIG", "SET", "requirepass", "n3w"]).await;
    let kill = ["-a", "n3w", "CLIENT", "KILL", "TYPE", "normal"];
    redis.cli(&kill).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_may_have_a_password_of_their_own() {
    let group = Failover::start_with_passwords("s3cret", "s3ntinel").await;
    let url = group.url().replace("://", "://:s3cret@");
    let mirror = Mirror::on(&format!("{url}?sentinel_password=s3ntinel"), 1).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_name_is_on_the_host_that_was_asked() {
    let cluster = Cluster::start().await;
    for endpoint in ["unknown-endpoint", "hostname"] {
        for node in cluster.nodes() {
            let set = ["CONFIG", "SET", "cluster-preferred-endpoint-type", endpoint];
            assert_eq!(node.cli(&set).await, "OK");
        }
        let owner = cluster.owner("{ghibli}:snapshot").await;
        let other = &cluster.nodes()[(owner + 1) % 3];
        let moved = other.cli(&["GET", "{ghibli}:snapshot"]).await;
        let port = cluster.nodes()[owner].port();
        let nameless = [format!(" :{port}"), format!(" ?:{port}")];
        assert!(nameless.iter().any(|name| moved.contains(name)), "{moved}");
        let mirror = Mirror::on(&other.url(), 1).await;
        mirror.upstream.release(endpoint);
        mirror.shows(endpoint).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_moving_are_read_from_their_present_node() {
    let cluster = Cluster::start().await;
    let owner = cluster.owner("{ghibli}:snapshot").await;
    let (old, new) = (&cluster.nodes()[owner], &cluster.nodes()[(owner + 1) % 3]);
    let mirror = Mirror::on(&old.url(), 1).await;

    let slot = old.cli(&["CLUSTER", "KEYSLOT", "{ghibli}:snapshot"]).await;
    let (old_id, new_id) = (
        old.cli(&["CLUSTER", "MYID"]).await,
        new.cli(&["CLUSTER", "MYID"]).await,
    );
    new.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old_id])
        .await;
    old.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new_id])
        .await;
    let port = new.port().to_string();
    for key in ["{ghibli}:status", "{ghibli}:snapshot", "{ghibli}:lease"] {
        old.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"])
            .await;
    }
    let asked = old.cli(&["GET", "{ghibli}:snapshot"]).await;
    assert!(asked.starts_with("ASK "), "{asked}");

    // A reader that starts now finds everything, and the poller continues.
    let late = Server::new(&old.url()).start().await;
    late.loaded().await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;

    for node in cluster.nodes() {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &new_id])
            .await;
    }
    mirror.upstream.release("Earwig and the Witch");
    mirror.shows("Earwig and the Witch").await;
}
