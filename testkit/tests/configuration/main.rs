//! Kind 2: every variable of both programs does what the table says, or the program refuses it by
//! name. Kind 12, the poller's half: the poller uses a proxy or refuses it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod proxies;
mod table;

use std::fs;

use testkit::process::{Poller, Server};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually, free_port};
use tokio::net::TcpStream;

const EVERY_SECOND: &str = "* * * * * *";

/// Earlier versions accepted each of these values, and then logged nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_taken_logs() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    for level in [
        " info ",
        "info\r",
        "INFO",
        "server=debug,poller=debug",
        "info, h2=off",
    ] {
        let poller = Poller::new(&upstream.url(), &cache).env("LOG_LEVEL", level);
        let server = Server::new(&cache).env("LOG_LEVEL", level);
        // Both calls wait for a log line.
        drop((poller.start().await, server.start().await));
    }

    let admin = format!("127.0.0.1:{}", free_port());
    let silent = Server::new(&cache).env("LOG_LEVEL", "off");
    let silent = silent.env("ADMIN_ADDR", &admin).spawn();
    let is_up = async || TcpStream::connect(&admin).await.is_ok();
    eventually("a server that logs nothing", TIME_LIMIT, is_up).await;
    assert_eq!(silent.stderr(), [""; 0]);
}

/// An earlier version synced every two seconds without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_never_comes_does_not_start() {
    let mut poller = Poller::new("http://127.0.0.1:1", "file:unused")
        .schedule("0 0 0 30 2 *")
        .spawn();
    assert_eq!(poller.wait().await.code(), Some(64));
    let refusal = poller.stderr().join("\n");
    assert!(
        refusal.contains("  POLL_SCHEDULE: there is no such day"),
        "{refusal}"
    );
}

/// Windows editors write a byte order mark, CRLF, or UTF-16.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_is_read_as_it_is_meant() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().join("cache").display());
    let file = directory.path().join("url");
    let upstream = Upstream::start(catalogue());
    fs::write(&file, format!("\u{feff}{cache}\r\n")).unwrap();
    let named = |path: &std::path::Path| path.display().to_string();
    let poller = Poller::new(&upstream.url(), " ")
        .schedule(EVERY_SECOND)
        .env("CACHE_URL_FILE", named(&file) + "\r")
        .start()
        .await;
    let line = poller
        .process
        .wait_for_log("poller_started", |_| true)
        .await;
    assert_eq!(line["cache"], cache);

    let utf_16: Vec<_> = [0xfeff].into_iter().chain(cache.encode_utf16()).collect();
    let utf_16: Vec<_> = utf_16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    for (bytes, mistake) in [
        (&b"\r\n"[..], "names is empty"),
        (&utf_16, "is UTF-16; save it as UTF-8"),
        (
            format!("\"{cache}\"\n").as_bytes(),
            "has quotes around it; leave them out",
        ),
        (&vec![b'x'; 1 << 20], "is longer than 8192 bytes"),
    ] {
        fs::write(&file, bytes).unwrap();
        let server = Server::new(" ").env("CACHE_URL_FILE", named(&file));
        let mut server = server.spawn();
        assert_eq!(server.wait().await.code(), Some(64), "{mistake}");
        let refusal = server.stderr().join("\n");
        assert!(
            refusal.contains("  CACHE_URL: the file that CACHE_URL_FILE names"),
            "{refusal}"
        );
        assert!(refusal.contains(mistake), "{refusal}");
    }
}

/// Compose restarted such a server again and again.
#[tokio::test(flavor = "multi_thread")]
async fn variables_that_contradict_each_other_are_both_named() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = testkit::redis::Certificates::make();
    let cache = format!("file:{}", directory.path().display());
    let authority = certificates.authority().display().to_string();
    for (variables, expected) in [
        (
            [
                ("LISTEN_ADDR", "0.0.0.0:9090"),
                ("ADMIN_ADDR", "127.0.0.1:9090"),
            ],
            "  ADMIN_ADDR: 127.0.0.1:9090 and LISTEN_ADDR, 0.0.0.0:9090",
        ),
        (
            [
                ("CACHE_URL", cache.as_str()),
                ("CACHE_CA_FILE", authority.as_str()),
            ],
            "  CACHE_CA_FILE: means nothing without TLS",
        ),
    ] {
        let start = |server: Server, (name, value)| server.env(name, value);
        let server = variables.into_iter().fold(Server::new(&cache), start);
        let mut server = server.spawn();
        assert_eq!(server.wait().await.code(), Some(64), "{expected}");
        let refusal = server.stderr().join("\n");
        assert!(refusal.contains(expected), "{refusal}");
    }
}
