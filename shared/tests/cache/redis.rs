//! Redis in all its forms: one server, a replica, behind sentinels, a cluster, with TLS and with
//! passwords.

use std::time::Duration;

use shared::cache::CacheError;
use shared::cache::CacheUrl;
use shared::cache::read::Reader;
use shared::cache::write::Lease;
use shared::service::tls::{Authorities, install_provider};
use testkit::proxy::Proxy;
use testkit::redis::{Certificates, Cluster, Failover, Redis};
use testkit::{eventually, free_port};

use super::{LEASE, commit, keeps_its_promises, readers_notice_commits, writer};

#[tokio::test]
async fn redis_keeps_the_promises() {
    let redis = Redis::start().await;
    keeps_its_promises(redis.url().parse().unwrap()).await;
}

#[tokio::test]
async fn redis_notifies_readers_of_commits() {
    let redis = Redis::start().await;
    let url: CacheUrl = redis.url().parse().unwrap();
    readers_notice_commits(url.clone(), url).await;
}

#[tokio::test]
async fn the_snapshot_in_redis_can_be_read_by_people() {
    let redis = Redis::start().await;
    let url = redis.url().parse().unwrap();
    let mut writer = writer(&url, "one");
    assert_eq!(writer.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut writer, 0, 1).await.unwrap();
    let shown = redis.cli(&["--raw", "GET", "{ghibli}:snapshot"]).await;
    assert!(shown.contains("\n  \"generation\": 1,\n"), "{shown}");
    assert_eq!(redis.cli(&["GET", "{ghibli}:lease"]).await.trim(), "one");
    let seconds: u64 = redis
        .cli(&["TTL", "{ghibli}:lease"])
        .await
        .trim()
        .parse()
        .unwrap();
    assert!(
        (1..=30).contains(&seconds),
        "the lease runs out by itself: {seconds}"
    );
}

#[tokio::test]
async fn a_redis_that_comes_back_is_used_again() {
    let mut redis = Redis::start_persistent().await;
    let url = redis.url().parse().unwrap();
    let mut writer = writer(&url, "one");
    let mut reader = Reader::new(&url).unwrap();
    assert_eq!(writer.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut writer, 0, 1).await.unwrap();
    reader.look_due().await;
    redis.kill().await;
    assert!(matches!(
        reader.status().await,
        Err(CacheError::Unreachable(_))
    ));
    assert!(matches!(
        commit(&mut writer, 1, 2).await,
        Err(CacheError::Unreachable(_))
    ));
    redis.restart().await;
    commit(&mut writer, 1, 2).await.unwrap();
    assert_eq!(reader.status().await.unwrap().unwrap().generation, 2);
}

#[tokio::test]
async fn a_call_to_a_redis_that_hangs_times_out() {
    let redis = Redis::start().await;
    let url = redis.url().parse().unwrap();
    let mut reader = Reader::new(&url).unwrap();
    assert!(reader.status().await.unwrap().is_none());
    redis.pause();
    let asked = tokio::time::timeout(Duration::from_secs(8), reader.status()).await;
    assert!(asked.expect("bounded in time").is_err());
    redis.resume();
    assert!(reader.status().await.unwrap().is_none());
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port())
        .parse()
        .unwrap();
    let (mut writer, mut reader) = (writer(&url, "one"), Reader::new(&url).unwrap());
    assert_eq!(writer.lease(LEASE).await.unwrap(), Lease::Held);
    reader.look_due().await;
    assert!(reader.status().await.unwrap().is_none());

    proxy.silence();
    let lost = tokio::time::timeout(Duration::from_secs(8), async {
        tokio::join!(commit(&mut writer, 0, 1), reader.status())
    });
    let (committed, status) = lost.await.expect("bounded in time");
    assert!(matches!(committed, Err(CacheError::TimedOut(_))));
    assert!(matches!(status, Err(CacheError::TimedOut(_))));

    commit(&mut writer, 0, 1).await.unwrap();
    assert_eq!(reader.status().await.unwrap().unwrap().generation, 1);
    // The subscription is silent as well. The first call notices it, the second subscribes again.
    let renewed = tokio::time::timeout(Duration::from_secs(15), async {
        reader.look_due().await;
        reader.look_due().await;
    });
    renewed.await.expect("bounded in time");
    let notified = tokio::time::timeout(Duration::from_millis(500), reader.look_due());
    let (notified, committed) = tokio::join!(notified, commit(&mut writer, 1, 2));
    committed.unwrap();
    notified.expect("notified within half a second");
}

#[tokio::test]
async fn rule_13_a_lease_that_ran_out_fences_its_holder_out() {
    let redis = Redis::start().await;
    let url = redis.url().parse().unwrap();
    let (mut sleeper, mut other) = (writer(&url, "sleeper"), writer(&url, "other"));
    let short = Duration::from_millis(300);
    assert_eq!(sleeper.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut sleeper, 0, 1).await.unwrap();
    assert_eq!(sleeper.lease(short).await.unwrap(), Lease::Held);
    let ran_out = async || redis.cli(&["EXISTS", "{ghibli}:lease"]).await == "0";
    eventually("the lease runs out", LEASE, ran_out).await;
    for _ in 0..2 {
        let error = commit(&mut sleeper, 1, 2).await.unwrap_err();
        assert_eq!(error.to_string(), "the lease was lost before the commit");
        // It makes no difference whether another poller has the lease.
        assert_eq!(other.lease(LEASE).await.unwrap(), Lease::Held);
    }
    commit(&mut other, 1, 2).await.unwrap();
}

#[tokio::test]
async fn rule_12_a_claimed_lease_fences_its_holder_out_at_once() {
    let redis = Redis::start().await;
    let url = redis.url().parse().unwrap();
    let (mut anew, mut knowing) = (writer(&url, "anew"), writer(&url, "knowing"));
    assert_eq!(anew.lease(LEASE).await.unwrap(), Lease::Held);
    assert_eq!(knowing.claim(LEASE).await.unwrap(), Lease::Held);
    assert!(matches!(
        commit(&mut anew, 0, 1).await,
        Err(CacheError::LeaseLost)
    ));
    let holder = Lease::HeldBy("knowing".to_owned());
    assert_eq!(anew.lease(LEASE).await.unwrap(), holder);
    commit(&mut knowing, 0, 1).await.unwrap();
}

#[tokio::test]
async fn a_replica_notifies_readers_of_commits_and_refuses_writers() {
    let master = Redis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
    let port = master.port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let url: CacheUrl = replica.url().parse().unwrap();
    eventually("replication", LEASE, async || {
        let role = replica.cli(&["ROLE"]).await;
        role.contains("connected")
    })
    .await;
    let refused = writer(&url, "two").lease(LEASE).await.unwrap_err();
    assert!(
        refused.to_string().to_lowercase().contains("read only"),
        "{refused}"
    );
    readers_notice_commits(master.url().parse().unwrap(), url).await;
}

#[tokio::test]
async fn sentinels_lead_to_the_master() {
    let group = Failover::start().await;
    keeps_its_promises(group.url().parse().unwrap()).await;
    assert_eq!(group.master().await.cli(&["DBSIZE"]).await, "4");

    // Sentinels that are dead or silent only cost time; so does a sentinel that does not know this
    // master.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().port();
    let others = format!("://127.0.0.1:{silent},127.0.0.1:{},", free_port());
    let url: CacheUrl = group.url().replace("://", &others).parse().unwrap();
    Reader::new(&url).unwrap().status().await.unwrap().unwrap();
    let url = group.url().replace("/ghibli", "/nobody").parse().unwrap();
    let error = Reader::new(&url).unwrap().status().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused: the sentinel knows no master nobody"
    );
}

#[tokio::test]
async fn sentinels_may_want_the_password_and_the_database_may_be_another() {
    let group = Failover::start_with_passwords("s3cret", "s3cret").await;
    let url = group.url().replace("://", "://:s3cret@") + "?db=2";
    let url: CacheUrl = url.parse().unwrap();
    keeps_its_promises(url).await;
    let master = group.master().await;
    assert_eq!(group.ask(master, &["-n", "2", "DBSIZE"]).await, "4");
}

#[tokio::test]
async fn a_cluster_keeps_the_promises_from_any_named_node() {
    let cluster = Cluster::start().await;
    let owner = cluster.owner("{ghibli}:snapshot").await;
    for key in ["{ghibli}:status", "{ghibli}:lease", "{ghibli}:history"] {
        assert_eq!(cluster.owner(key).await, owner, "all keys share a slot");
    }
    let [owner, other, third] = [0, 1, 2].map(|offset| &cluster.nodes()[(owner + offset) % 3]);
    keeps_its_promises(other.url().parse().unwrap()).await;
    owner.cli(&["FLUSHALL"]).await;
    readers_notice_commits(other.url().parse().unwrap(), third.url().parse().unwrap()).await;

    // A dead node does not matter if the URL names another node too.
    let dead = format!(
        "redis://127.0.0.1:{},127.0.0.1:{}",
        free_port(),
        other.port()
    );
    let mut reader = Reader::new(&dead.parse().unwrap()).unwrap();
    reader.status().await.unwrap().unwrap();
}

/// A Redis with TLS, its TLS port, and the files of its certificate.
async fn redis_with_tls() -> (Redis, u16, Certificates) {
    install_provider();
    let (certificates, port) = (Certificates::make(), free_port());
    let arguments = certificates.arguments(port);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    (Redis::start_with(&arguments).await, port, certificates)
}

#[tokio::test]
async fn certificates_are_verified() {
    let (_redis, port, certificates) = redis_with_tls().await;
    let url: CacheUrl = format!("rediss://127.0.0.1:{port}").parse().unwrap();
    let trusted = Authorities::read(&certificates.authority()).unwrap();
    let stranger = Authorities::read(&Certificates::make().authority()).unwrap();

    keeps_its_promises(url.clone().trusting(Some(trusted.clone()))).await;
    for not_trusting in [None, Some(stranger)] {
        let url = url.clone().trusting(not_trusting);
        let error = Reader::new(&url).unwrap().status().await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    // The certificate is for the address, not for this host name.
    let url: CacheUrl = format!("rediss://localhost:{port}").parse().unwrap();
    let url = url.trusting(Some(trusted));
    let error = Reader::new(&url).unwrap().status().await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn sentinels_with_tls_lead_to_a_master_with_tls() {
    let (redis, port, certificates) = redis_with_tls().await;
    let sentinel_port = free_port();
    let lines = format!(
        "sentinel monitor ghibli 127.0.0.1 {port} 1\ntls-replication yes\n{}",
        certificates.lines(sentinel_port)
    );
    let _sentinel = Redis::start_sentinel(&lines).await;
    let url = format!("rediss+sentinel://127.0.0.1:{sentinel_port}/ghibli");
    let url: CacheUrl = url.parse().unwrap();
    let trusted = Authorities::read(&certificates.authority()).unwrap();
    keeps_its_promises(url.clone().trusting(Some(trusted))).await;
    assert_eq!(redis.cli(&["DBSIZE"]).await, "4");
    let error = Reader::new(&url).unwrap().status().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_not_repeated() {
    let redis = Redis::start_with(&["--requirepass", "s3cret"]).await;
    let with = |credentials: &str| redis.url().replace("://", credentials).parse().unwrap();
    for (credentials, expected) in [
        ("://:wr0ng@", "authentication failed"),
        ("://somebody:wr0ng@", "authentication failed"),
        ("://", "Authentication required"),
    ] {
        let url = with(credentials);
        let mut reader = Reader::new(&url).unwrap();
        let error = reader.status().await.unwrap_err().to_string();
        assert!(error.starts_with("refused: "), "{error}");
        assert!(error.contains(expected), "{error}");
        let shown = format!("{error} {reader:?} {url} {url:?}");
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
    Reader::new(&with("://:s3cret@"))
        .unwrap()
        .status()
        .await
        .unwrap();
}
