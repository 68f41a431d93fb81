//! HEAD and OPTIONS.

use std::time::Duration;

use http::HeaderMap;
use testkit::client::{Response, raw};
use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::{ask, paths};

/// An answer, without the parts that change with time.
fn timeless(answer: &Response) -> (u16, HeaderMap) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    (answer.status, headers)
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let page = "/movies".to_owned();
    for path in paths().into_iter().chain([page]) {
        for headers in [
            &[][..],
            &[("accept-encoding", "gzip")],
            &[("accept-encoding", "br")],
            &[("if-none-match", "*")],
        ] {
            // The age changes each second, so this compares a HEAD between two equal GETs.
            let what = format!("HEAD to be as GET: {path} {headers:?}");
            let is_same = async || {
                let before = ask(&server, "GET", &path, headers).await;
                let head = ask(&server, "HEAD", &path, headers).await;
                let after = ask(&server, "GET", &path, headers).await;
                assert!(head.body.is_empty(), "{path}");
                let settled = timeless(&before) == timeless(&after);
                settled.then(|| assert_eq!(timeless(&head), timeless(&before), "{path}"))
            };
            eventually(&what, TIME_LIMIT, is_same).await;
        }
    }
}

#[tokio::test]
async fn not_one_byte_follows_the_head_on_the_wire() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for path in ["/films", "/nope", "/films?limit=abc", "/movies"] {
        let asked = format!("HEAD {path} HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n");
        let answer = raw(&server.address, asked.as_bytes(), Duration::from_secs(10)).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert!(answer.contains("\r\ncontent-length: "), "{answer}");
        assert!(
            answer.find("\r\n\r\n") == Some(answer.len() - 4),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn options_answers_preflights_on_every_path() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        (
            "access-control-request-headers",
            "x-requested-with, if-none-match",
        ),
    ];
    for path in paths() {
        let answer = ask(&server, "OPTIONS", &path, &preflight).await;
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.body.is_empty());
        for (header, value) in [
            ("allow", "GET, HEAD, OPTIONS"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
            ("access-control-allow-headers", "*"),
        ] {
            assert_eq!(answer.header(header), Some(value), "{path}");
        }
        let age = answer.header("access-control-max-age").unwrap();
        assert!(age.parse::<u32>().unwrap() >= 600, "{age}");
    }
    let asked = b"OPTIONS * HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n";
    let answer = raw(&server.address, asked, Duration::from_secs(10)).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 204 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn scripts_may_read_the_headers_that_matter() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for path in ["/films?_page=1", "/films?limit=abc", "/films/unknown"] {
        let answer = ask(&server, "GET", path, &[]).await;
        let exposed = answer.header("access-control-expose-headers").unwrap();
        let exposed: Vec<_> = exposed.split(", ").collect();
        for header in ["Age", "Cache-Status", "ETag", "Link", "X-Total-Count"] {
            assert!(exposed.contains(&header), "{path}: {header}");
        }
    }
}
