//! The attacks. Each has a limit on connections, and runs until the caller ends it.

use std::fmt::Write as _;

use bytes::Bytes;

use super::force::Manner;
use super::queries;

/// Connections of attacks that try to take every place: more than a server accepts.
const CROWD: usize = 5_000;

/// Connections of attacks that keep a server busy. More connections do no more harm.
const FEW: usize = 64;

/// One attack.
#[derive(Debug, Clone)]
pub struct Attack {
    /// The attack's name.
    pub name: &'static str,
    /// How many connections it keeps.
    pub connections: usize,
    /// What each of them does.
    pub manner: Manner,
}

/// All attacks.
pub fn all() -> Vec<Attack> {
    [crowds(), heads(), bodies(), requests()].concat()
}

/// Attacks that hold connections.
fn crowds() -> Vec<Attack> {
    let get = |path| request("GET", path, "");
    let crowd = |name, opening: String, drip: &'static str, reads| Attack {
        name,
        connections: CROWD,
        manner: Manner::Hold {
            opening: opening.into(),
            drip: drip.into(),
            reads,
        },
    };
    let half = "GET /films HTTP/1.1\r\nHost: a\r\nX: ".to_owned();
    let nearly_full = format!("{half}{}", "x".repeat(15 << 10));
    vec![
        crowd("silent connections", String::new(), "", 0),
        Attack {
            connections: 10_000,
            ..crowd("10,000 idle connections", get("/films"), "", 64 << 10)
        },
        crowd("slow heads, a byte a second", half, "x", 0),
        crowd("slow heads of 15 KiB", nearly_full, "x", 0),
        crowd("answers that nobody reads", get("/db").repeat(64), "", 0),
        crowd("answers read slowly", get("/db").repeat(64), "", 1 << 10),
        crowd("endless blank lines", String::new(), "\r\n", 0),
        leaving("half-closed and idle", &get("/films")),
        leaving("half-closed, answers unread", &get("/db").repeat(64)),
        leaving(
            "half-closed, costly queries",
            &get(&queries::expensive()[0].1),
        ),
        knocking("connect and close", false),
        knocking("connect and reset", true),
    ]
}

/// Attacks that use request heads.
fn heads() -> Vec<Attack> {
    let fields = |count| {
        (0..count).fold(String::new(), |mut fields, number| {
            let _ = write!(fields, "h{number}: x\r\n");
            fields
        })
    };
    let line = |name, length| format!("{name}: {}\r\n", "x".repeat(length));
    let long_list = |name, item: &str| format!("{name}: {}\r\n", item.repeat(14_000 / item.len()));
    vec![
        flood(
            "oversized heads",
            &request("GET", "/films", &line("X", 64 << 10)),
            1,
        ),
        flood(
            "oversized targets",
            &request("GET", &format!("/{}", "x".repeat(64 << 10)), ""),
            1,
        ),
        flood(
            "too many fields",
            &request("GET", "/films", &fields(2_000)),
            1,
        ),
        many(
            "as many fields as are allowed",
            &request("HEAD", "/films", &fields(62)),
        ),
        many(
            "long lists of tags",
            &request("HEAD", "/films", &long_list("If-None-Match", "\"x\",")),
        ),
        many(
            "long lists of codings",
            &request("HEAD", "/films", &long_list("Accept-Encoding", "x;q=1,")),
        ),
        many(
            "targets to be encoded",
            &request("HEAD", &format!("/films?{}", "\"".repeat(4_000)), ""),
        ),
    ]
}

/// Attacks that use bodies, and unclear ends of a request.
fn bodies() -> Vec<Attack> {
    let endless = "Content-Length: 999999999999\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = "x".repeat(256 << 10);
    let chunks = "1;extension=x\r\nx\r\n".repeat(16 << 10);
    let both = format!("Content-Length: 5\r\n{chunked}");
    vec![
        flood(
            "GET with an endless body",
            &(request("GET", "/films", endless) + &body),
            1,
        ),
        flood(
            "POST with an endless body",
            &(request("POST", "/films", endless) + &body),
            1,
        ),
        flood(
            "GET with endless chunks",
            &(request("GET", "/films", chunked) + &chunks),
            1,
        ),
        flood(
            "both lengths",
            &(request("GET", "/films", &both) + "0\r\n\r\n"),
            1,
        ),
        flood(
            "two lengths",
            &request(
                "GET",
                "/films",
                "Content-Length: 1\r\nContent-Length: 2\r\n",
            ),
            1,
        ),
        flood(
            "odd chunks",
            &(request("GET", "/films", chunked) + "zz\r\n"),
            1,
        ),
    ]
}

/// Attacks that use requests which are valid one by one.
fn requests() -> Vec<Attack> {
    let mut attacks = vec![
        many("pipelined small requests", &request("GET", "/", "")),
        many("pipelined large answers", &request("GET", "/db", "")),
        many(
            "absolute-form",
            &request("GET", "http://elsewhere.example/", ""),
        ),
        many("CONNECT", &request("CONNECT", "elsewhere.example:443", "")),
        many(
            "methods that do not exist",
            &request("DELETE", "/films", ""),
        ),
        many(
            "paths that do not exist",
            &request("GET", "/nothing/here", ""),
        ),
        many(
            "refused queries",
            &request("GET", &format!("/films?{}", "a&".repeat(4_000)), ""),
        ),
    ];
    attacks.extend(
        queries::expensive()
            .into_iter()
            .map(|(name, target)| many(name, &request("GET", &target, ""))),
    );
    attacks
}

fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: mirror.example\r\n{fields}\r\n")
}

/// A crowd of clients that close their sending side after their request.
fn leaving(name: &'static str, opening: &str) -> Attack {
    Attack {
        name,
        connections: CROWD,
        manner: Manner::Leave {
            opening: Bytes::copy_from_slice(opening.as_bytes()),
        },
    }
}

fn knocking(name: &'static str, reset: bool) -> Attack {
    Attack {
        name,
        connections: FEW,
        manner: Manner::Knock { reset },
    }
}

fn flood(name: &'static str, burst: &str, requests: u64) -> Attack {
    let burst = Bytes::copy_from_slice(burst.as_bytes());
    Attack {
        name,
        connections: FEW,
        manner: Manner::Flood { burst, requests },
    }
}

/// The same request many times, so that each write costs the attacker little.
fn many(name: &'static str, request: &str) -> Attack {
    const BURST: usize = 64 << 10;
    let times = BURST.div_ceil(request.len());
    flood(name, &request.repeat(times), times as u64)
}
