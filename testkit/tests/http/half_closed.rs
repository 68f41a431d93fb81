//! Clients that close their sending side after the request, as `nc -N` and some health checkers do.

use testkit::attack::usage::Usage;
use testkit::client::{raw, raw_half_closed};
use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, catalogue, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::CASTLE;

/// How often the test repeats each request.
const TIMES: usize = 50;

/// The answer, without the parts that change with time.
fn timeless(answer: &[u8]) -> String {
    let answer = String::from_utf8_lossy(answer);
    let changing = ["date: ", "age: ", "cache-status: ", "connection: "];
    let lines = answer.split_inclusive("\r\n");
    lines
        .filter(|line| !changing.iter().any(|name| line.starts_with(name)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_the_whole_answer_every_time() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for target in [
        "/films?title_like=castle",
        "/films?_page=2&_limit=5",
        "/people?_embed=films",
        &format!("/films/{CASTLE}"),
        &format!("/films/{CASTLE}?fields=title"),
        &format!("/films/{CASTLE}/people"),
        "/films",
        "/db",
        "/docs",
        "/",
        "/films/unknown",
        "/films?limit=abc",
    ] {
        for (method, version) in [("GET", "1.1"), ("HEAD", "1.1"), ("GET", "1.0")] {
            let line = format!("{method} {target} HTTP/{version}");
            let ask = |field: &str| format!("{line}\r\nHost: mirror\r\n{field}\r\n");
            let expected = ask("Connection: close\r\n");
            let expected = raw(&server.address, expected.as_bytes(), TIME_LIMIT).await;
            assert!(expected.starts_with(b"HTTP/1."), "{line}");
            let (expected, ask) = (timeless(&expected), ask(""));
            for time in 1..=TIMES {
                let answer = raw_half_closed(&server.address, ask.as_bytes(), TIME_LIMIT).await;
                let answer = timeless(&answer);
                assert!(
                    answer == expected,
                    "{line}, time {time}: {} of {} bytes",
                    answer.len(),
                    expected.len()
                );
            }
        }
    }
    let ask = b"GET /movies HTTP/1.1\r\nHost: mirror\r\n\r\n";
    for (address, method) in [(&server.address, "GET"), (&server.admin_address, "HEAD")] {
        let ask = format!("{method} /readyz HTTP/1.0\r\n\r\n");
        let answer = raw_half_closed(address, ask.as_bytes(), TIME_LIMIT).await;
        assert!(answer.starts_with(b"HTTP/1.0 "), "{method}");
    }
    let page = raw_half_closed(&server.address, ask, TIME_LIMIT).await;
    assert!(page.ends_with(b"</html>\n") || page.ends_with(b"</html>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_all_the_answers_that_they_asked_for() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let targets = [
        "/films",
        "/films?q=castle",
        "/db",
        "/films?limit=1",
        "/nope",
    ];
    let asked = targets.map(|target| format!("GET {target} HTTP/1.1\r\nHost: mirror\r\n\r\n"));
    let answers = raw_half_closed(&server.address, asked.concat().as_bytes(), TIME_LIMIT).await;
    let answers = String::from_utf8(answers).unwrap();
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "404"]);
    assert!(answers.ends_with("{}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn leave_no_connection_behind() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let pid = server.process.pid();
    let at_rest = Usage::of(pid);
    let mut clients = Vec::new();
    for sent in [
        "",
        "\r\n\r\n",
        "GET /films HT",
        "GET /films HTTP/1.1\r\nHost: mirror\r\n\r\n",
        "GET /films?q=castle HTTP/1.1\r\nHost: mirror\r\n\r\n",
        "POST /films HTTP/1.1\r\nHost: mirror\r\nContent-Length: 100\r\n\r\nhalf of it",
        "GET /films HTTP/1.1\r\nHost: mirror\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        for _ in 0..20 {
            let mut client = TcpStream::connect(&server.address).await.unwrap();
            client.write_all(sent.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            clients.push(client);
        }
    }
    // The clients do not read, and do not close the other side.
    let are_gone = async || Usage::of(pid).sockets <= at_rest.sockets;
    eventually("half-closed connections to be gone", TIME_LIMIT, are_gone).await;
    drop(clients);
}
