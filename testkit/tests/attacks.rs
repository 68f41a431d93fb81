//! Attacks on the real server: it stays up within its limits, and still serves other clients.
//!
//! `cargo xtask attack` measures the cost of attacks; nothing here depends on speed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::attack::force::Manner;
use testkit::attack::steady::Steady;
use testkit::attack::usage::{Usage, unsent};
use testkit::attack::{Attack, Force, list, raise_open_files};
use testkit::client::{get, raw, try_get};
use testkit::mirror::Mirror;
use testkit::process::{Process, RunningServer, binaries};
use testkit::{TIME_LIMIT, eventually, skip};

/// How many connections the server accepts at most.
const MOST_CONNECTIONS: usize = 4096;

/// The memory of one connection at most: a head of 16 KiB, which a growing buffer may hold
/// twice, and as much again for everything else.
const CONNECTION_BYTES: usize = 48 << 10;

/// The kernel memory for one connection's unsent answers: twice the 32 KiB send buffer, and the
/// last segment that began below that limit.
const UNSENT_BYTES: usize = 128 << 10;

/// Sockets of the attackers, of the well-behaved client, and of the server.
const FILES: u64 = 12_000;

/// How many requests of the well-behaved client must end during an attack.
const REQUESTS: usize = 12;

/// The shortest time of an attack, after it has started fully.
const A_WHILE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_bounded_and_others_are_served() {
    let files = raise_open_files();
    if files < FILES {
        let why = format!("{files} files may be open, {FILES} are needed");
        skip("attacks", &why);
        return;
    }
    let mirror = Mirror::of(testkit::catalogue()).await;
    let mut server = mirror.server(&[]).await;
    let at_rest = Usage::of(server.process.pid());
    for attack in list::all() {
        bounded(&server, at_rest, &attack).await;
        assert!(server.process.is_running(), "{}", attack.name);
    }
}

/// One attack, from its first connection until the server is at rest again.
async fn bounded(server: &RunningServer, at_rest: Usage, attack: &Attack) {
    let (name, pid) = (attack.name, server.process.pid());
    let address: SocketAddr = server.address.parse().unwrap();
    let expected = get(&format!("{}/films", server.url())).await.body;
    let steady = Steady::start(&server.url(), expected);
    let force = Force::start(address, attack.connections, attack.manner.clone());
    let is_under_way = async || {
        let counts = force.counts();
        match attack.manner {
            // All attackers have connected, so the server had to choose.
            Manner::Hold { .. } | Manner::Leave { .. } => {
                counts.connections > MOST_CONNECTIONS as u64
            }
            Manner::Flood { .. } => counts.requests > 100,
            Manner::Knock { .. } => counts.connections > 1_000,
        }
    };
    eventually(name, TIME_LIMIT, is_under_way).await;
    let asked = steady.asked();
    let is_served = async || steady.asked() >= asked + REQUESTS;
    let what = format!("requests beside {name}");
    eventually(&what, TIME_LIMIT, is_served).await;
    tokio::time::sleep(A_WHILE).await;

    let (usage, waiting) = (Usage::of(pid), unsent(address));
    let seen = steady.stop().await;
    drop(force);
    let held = usage.sockets.saturating_sub(at_rest.sockets);
    // The server accepts one more connection, which waits for a place.
    assert!(held <= MOST_CONNECTIONS + 1, "{name}: {held} connections");
    let grown = usage.peak_resident.saturating_sub(at_rest.peak_resident);
    let allowed = MOST_CONNECTIONS * CONNECTION_BYTES;
    assert!(grown <= allowed, "{name}: {grown} bytes of memory");
    let allowed = MOST_CONNECTIONS * UNSENT_BYTES;
    assert!(waiting <= allowed, "{name}: {waiting} bytes unsent");
    assert_eq!(seen.failed, 0, "{name}: {:?}", seen.first_failure);

    let is_at_rest = async || Usage::of(pid).sockets <= at_rest.sockets;
    let what = format!("the connections of {name} to be gone");
    eventually(&what, TIME_LIMIT, is_at_rest).await;
}

/// Without free files, a server could neither read its cache nor answer a health check.
#[tokio::test(flavor = "multi_thread")]
async fn few_files_are_few_connections_and_no_trouble() {
    let mirror = Mirror::of(testkit::sample::catalogue()).await;
    let script = format!("ulimit -n 200; exec {}", binaries().server.display());
    let environment = [
        ("CACHE_URL", mirror.cache_url()),
        ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
        ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
    ];
    let process = Process::spawn("the server", "/bin/sh", &["-c", &script], &environment);
    let server = RunningServer::ready(process).await;
    let warning = server.process.wait_for_log("files_limited", |_| true);
    assert_eq!(warning.await["connections"], 72);
    let mark = server.process.mark();

    let address: SocketAddr = server.address.parse().unwrap();
    let silent = Manner::Hold {
        opening: "".into(),
        drip: "".into(),
        reads: 0,
    };
    let force = Force::start(address, 300, silent);
    let all_came = async || force.counts().connections > 300;
    eventually("silent connections", TIME_LIMIT, all_came).await;
    mirror.upstream.release("The Red Turtle");
    mirror.sync().await;
    let films = format!("{}/films", server.url());
    let shows_it = async || {
        // In such a crowd, the server may close a connection before its request.
        let answer = try_get(&films).await;
        answer.is_ok_and(|answer| answer.text().contains("The Red Turtle"))
    };
    eventually("the release", TIME_LIMIT, shows_it).await;
    assert_eq!(
        get(&format!("{}/readyz", server.admin_url())).await.status,
        200
    );
    drop(force);
    let (said, _) = server.process.stderr_since(mark);
    assert!(!said.iter().any(|line| line.contains("WARN")), "{said:?}");
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The statuses of all answers on one connection.
async fn statuses(server: &RunningServer, sent: &str) -> Vec<u16> {
    let answers = raw(&server.address, sent.as_bytes(), TIME_LIMIT).await;
    let answers = String::from_utf8_lossy(&answers);
    let statuses = answers.split("HTTP/1.1 ").skip(1);
    statuses.map(|it| it[..3].parse().unwrap()).collect()
}

/// The server either understands a request as every proxy does, and then the next request follows;
/// or the request is the last on its connection.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled() {
    let mirror = Mirror::of(testkit::sample::catalogue()).await;
    let server = &mirror.server(&[]).await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases: &[(&str, &str, &[u16])] = &[
        ("Content-Length: 1\r\nContent-Length: 2\r\n", "", &[400]),
        ("Content-Length: 2, 2\r\n", "ab", &[400]),
        ("Content-Length: +5\r\n", "", &[400]),
        ("Content-Length: 0x5\r\n", "", &[400]),
        ("Content-Length: \r\n", "", &[400]),
        ("Content-Length: 18446744073709551616\r\n", "", &[400]),
        ("Transfer-Encoding: xchunked\r\n", "", &[400]),
        ("Transfer-Encoding: chunked, identity\r\n", "", &[400]),
        ("Transfer-Encoding: identity\r\n", "", &[400]),
        ("Transfer-Encoding: \x0bchunked\r\n", "", &[400]),
        ("Transfer-Encoding : chunked\r\n", "", &[400]),
        ("X: folded\r\n Content-Length: 5\r\n", "", &[400]),
        ("X: a\rContent-Length: 5\r\n", "", &[400]),
        // With both headers, the chunks count (RFC 9112, section 6.3), and the connection ends.
        ("BOTH", "0\r\n\r\n", &[200]),
        ("CHUNKED", "zz\r\n", &[200]),
        ("CHUNKED", "-1\r\n", &[200]),
        ("CHUNKED", "0x1\r\nx\r\n0\r\n\r\n", &[200]),
        ("CHUNKED", "ffffffffffffffff1\r\n", &[200]),
        ("CHUNKED", "1\nx\r\n0\r\n\r\n", &[200]),
        ("CHUNKED", "1\r\nxx\r\n0\r\n\r\n", &[200]),
        // The server does not wait for a body that does not arrive.
        ("Content-Length: 500\r\n", "", &[200]),
        // These bodies end where they seem to end.
        ("CHUNKED", "1;extension=x\r\nx\r\n0\r\n\r\n", &[200, 404]),
        // The server encodes raw characters in a target, but must not do so in a body: that would
        // move the body's end.
        ("Content-Length: 9\r\n", "GET /\"<> ", &[200, 404]),
        ("Content-LENGTH:11\r\n", "\r\n\r\nGET /\" ", &[200, 404]),
        ("CHUNKED", "9\r\nGET /\"<> \r\n0\r\n\r\n", &[200, 404]),
        ("X: GET /\"<> HTTP/1.1\r\nY: \"\r\n", "", &[200, 404]),
        ("X: a\nContent-Length: 9\r\n", "GET /\"<> ", &[200, 404]),
        // After an invalid first line, the server reads nothing more.
        ("", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 400]),
        ("", "GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", &[200, 400]),
        ("Content-Length: 5\r\n", "hello", &[200, 404]),
    ];
    for (fields, body, expected) in cases {
        let both = format!("Content-Length: 4\r\n{chunked}");
        let fields = fields.replace("BOTH", &both).replace("CHUNKED", chunked);
        let sent = format!("GET /films HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{SMUGGLED}");
        assert_eq!(&statuses(server, &sent).await, expected, "{sent:?}");
    }
    let old = format!("GET /films HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n{SMUGGLED}");
    assert_eq!(statuses(server, &old).await, [400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_no_proxy() {
    let mirror = Mirror::of(testkit::sample::catalogue()).await;
    let server = &mirror.server(&[]).await;
    for (line, expected) in [
        // Whatever host the target names, the server looks up the path here.
        ("GET http://elsewhere.example/films", 200),
        ("GET http://user:password@elsewhere.example/nothing", 404),
        ("GET https://elsewhere.example/", 302),
        ("GET elsewhere.example:443", 302),
        ("CONNECT elsewhere.example:443", 405),
        ("CONNECT /films", 405),
        ("TRACE /films", 405),
        ("OPTIONS *", 204),
        ("GET *", 404),
    ] {
        let sent = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(statuses(server, &sent).await, [expected], "{line}");
    }
    // After a refused CONNECT, the next bytes are a normal request and not a tunnel.
    let sent = format!("CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: a\r\n\r\n{SMUGGLED}");
    assert_eq!(statuses(server, &sent).await, [405, 404]);
    let upgrade = "GET /films HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n";
    let sent = format!("{upgrade}{SMUGGLED}");
    assert_eq!(statuses(server, &sent).await, [200, 404], "not taken up");
    assert_eq!(
        statuses(server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await,
        [0; 0]
    );
}
