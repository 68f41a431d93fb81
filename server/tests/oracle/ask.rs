//! Sends one question over HTTP, and keeps the parts of the answer that matter.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// The parts of an answer on which clients can rely. Addresses have no host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) total: Option<String>,
    pub(crate) link: Option<String>,
    pub(crate) body: String,
}

/// The longest wait for an answer; a longer one is a bug.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Asks `base_url` (`http://host:port`) for `path_and_query`.
#[expect(clippy::disallowed_methods, reason = "the test is the client")]
pub(crate) fn ask(base_url: &str, path_and_query: &str) -> Observation {
    let host = base_url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(host).expect("a listener");
    stream
        .set_read_timeout(Some(TIME_LIMIT))
        .expect("a timeout");
    // Send it in one piece: a server that refuses the first line may close before the rest arrives.
    let request =
        format!("GET {path_and_query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        panic!("no answer from curl -gs '{base_url}{path_and_query}': {error}");
    }
    parse(&String::from_utf8_lossy(&answer), base_url)
}

/// A `Link` header without the escapes that the mirror adds: the oracle repeats these characters
/// unchanged.
pub(crate) fn unescaped(link: &str) -> String {
    let escapes = [("%22", "\""), ("%3C", "<"), ("%3E", ">"), ("%60", "`")];
    let link = link.to_owned();
    let replace = |link: String, (escape, raw): (&str, &str)| link.replace(escape, raw);
    escapes.into_iter().fold(link, replace)
}

fn parse(answer: &str, base_url: &str) -> Observation {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status");
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name: &str| {
        let found = headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().replace(base_url, ""))
    };
    Observation {
        status: status.parse().expect("a number"),
        content_type: header("content-type").unwrap_or_default(),
        total: header("x-total-count"),
        link: header("link").map(|link| unescaped(&link)),
        body: body.to_owned(),
    }
}
