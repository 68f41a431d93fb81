//! The mirror on a Redis with TLS, and on a cluster.

use testkit::catalogue;
use testkit::free_port;
use testkit::process::{Poller, Server};
use testkit::redis::{Certificates, Cluster, Redis};
use testkit::upstream::Upstream;

use super::{FILM, Mirror};

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_a_private_authority_is_trusted_when_it_is_named_and_not_otherwise() {
    let (certificates, port) = (Certificates::make(), free_port());
    let arguments = certificates.arguments(port);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let _redis = Redis::start_with(&arguments).await;
    let url = format!("rediss://127.0.0.1:{port}");
    let authority = certificates.authority().display().to_string();

    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &url).env("CACHE_CA_FILE", &authority);
    let server = Server::new(&url).env("CACHE_CA_FILE", &authority);
    let mirror = Mirror::of(upstream, poller, &server, 1).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;

    let suspicious = Server::new(&url).start().await;
    let reason =
        |line: &serde_json::Value| line["reason"].as_str().unwrap().contains("certificate");
    suspicious
        .process
        .wait_for_log("cache_unreachable", reason)
        .await;

    let key = authority.replace("authority.pem", "server.key");
    for (file, mistake) in [
        ("/nonexistent", "cannot read the file: "),
        (key.as_str(), "the file holds no certificate in PEM"),
    ] {
        let mut mistaken = Server::new(&url).env("CACHE_CA_FILE", file).spawn();
        assert_eq!(mistaken.wait().await.code(), Some(64));
        let stderr = mistaken.stderr().join("\n");
        assert!(
            stderr.contains(&format!("CACHE_CA_FILE: {mistake}")),
            "{stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_carries_releases_from_any_named_node() {
    let cluster = Cluster::start().await;
    let slot = async |key| cluster.nodes()[0].cli(&["CLUSTER", "KEYSLOT", key]).await;
    let ours = slot("{ghibli}:snapshot").await;
    for key in ["{ghibli}:status", "{ghibli}:lease", "{ghibli}:history"] {
        assert_eq!(slot(key).await, ours);
    }
    let owner = cluster.owner("{ghibli}:snapshot").await;
    let [other, third] = [1, 2].map(|offset| cluster.nodes()[(owner + offset) % 3].url());

    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &other);
    let server = Server::new(&format!("{third},{}", other.trim_start_matches("redis://")));
    let mirror = Mirror::of(upstream, poller, &server, 2).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
    assert_eq!(cluster.nodes()[owner].cli(&["DBSIZE"]).await, "4");
}
