//! An upstream must prove its identity: the poller sends no request to a server with a bad
//! certificate, and its log says why.

use testkit::catalogue;
use testkit::process::{Process, binaries};
use testkit::redis::Certificates;
use testkit::tls::Tls;
use testkit::upstream::Upstream;

/// Syncs once with a stand-in behind TLS. Returns whether the sync succeeded, the poller's output,
/// and the number of requests that arrived.
async fn sync(certificates: &Certificates, is_trusted: bool) -> (bool, String, u64) {
    let upstream = Upstream::start(catalogue());
    let tls = Tls::in_front_of(upstream.port(), certificates).await;
    let directory = tempfile::tempdir().unwrap();
    let mut environment = vec![
        ("GHIBLI_API", tls.url()),
        ("CACHE_URL", format!("file:{}", directory.path().display())),
    ];
    if is_trusted {
        // The operator sets where the system's authorities are.
        let authority = certificates.authority().display().to_string();
        environment.push(("SSL_CERT_FILE", authority));
    }
    let mut sync = Process::spawn("poller", binaries().poller, &["sync"], &environment);
    let is_good = sync.wait().await.success();
    let said = [sync.stdout(), sync.stderr()].concat().join("\n");
    (is_good, said, upstream.counts().requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_trusted_whose_authority_the_system_trusts() {
    let (is_good, said, requests) = sync(&Certificates::make(), true).await;
    assert!(is_good, "{said}");
    assert_eq!(requests, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_good_certificate_gets_no_request() {
    for (certificates, is_trusted, why) in [
        (Certificates::make(), false, "UnknownIssuer"),
        (Certificates::expired(), true, "certificate expired"),
        (
            Certificates::of_another_host("ghibli.example"),
            true,
            "certificate not valid for name \"127.0.0.1\"",
        ),
        (
            Certificates::of_another_host("127.0.0.2"),
            true,
            "certificate not valid for name \"127.0.0.1\"",
        ),
    ] {
        let (is_good, said, requests) = sync(&certificates, is_trusted).await;
        assert!(!is_good, "{why}: {said}");
        assert!(said.contains("invalid peer certificate"), "{why}: {said}");
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(requests, 0, "{why}");
    }
}
