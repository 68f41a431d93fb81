//! Which content coding the server chooses, and whether it decodes to the same bytes.

use std::io::Read;

use testkit::catalogue;
use testkit::client::Response;
use testkit::mirror::Mirror;

use crate::{get_with, paths};

fn decoded(answer: &Response) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut body = &answer.body[..];
    match answer.header("content-encoding") {
        None => body.read_to_end(&mut plain).map(drop),
        Some("gzip") => flate2::read::GzDecoder::new(body)
            .read_to_end(&mut plain)
            .map(drop),
        Some("br") => brotli::BrotliDecompress(&mut body, &mut plain),
        Some(other) => panic!("nobody asked for {other}"),
    }
    .unwrap();
    plain
}

#[tokio::test]
async fn every_coding_holds_the_same_bytes_under_the_same_tag() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let mut compressed = 0;
    for path in paths() {
        let plain = get_with(&server, &path, &[]).await;
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        for coding in ["gzip", "br"] {
            let answer = get_with(&server, &path, &[("accept-encoding", coding)]).await;
            assert_eq!(answer.status, plain.status, "{path}");
            assert_eq!(answer.header("etag"), plain.header("etag"), "{path}");
            let length = answer.header("content-length").unwrap();
            assert_eq!(length, answer.body.len().to_string(), "{path}");
            assert_eq!(decoded(&answer), plain.body, "{path} in {coding}");
            if let Some(chosen) = answer.header("content-encoding") {
                assert_eq!(chosen, coding, "{path}");
                assert!(answer.body.len() < plain.body.len(), "{path}");
                compressed += 1;
            }
            if !plain.body.is_empty() {
                // A browser gets a page where there is nothing.
                let vary = match &*path {
                    "/nope" => "Accept-Encoding, Accept",
                    _ => "Accept-Encoding",
                };
                assert_eq!(answer.header("vary"), Some(vary), "{path}");
                assert_eq!(plain.header("vary"), Some(vary), "{path}");
            }
        }
    }
    assert!(compressed >= 20, "only {compressed}");
}

#[tokio::test]
async fn the_page_is_compressed_too() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let plain = get_with(&server, "/movies", &[]).await;
    for coding in ["gzip", "br"] {
        let answer = get_with(&server, "/movies", &[("accept-encoding", coding)]).await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(answer.header("etag"), plain.header("etag"));
        assert_eq!(decoded(&answer), plain.body);
    }
}

#[tokio::test]
async fn the_client_chooses() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for (accepted, coding) in [
        ("", None),
        ("identity", None),
        ("deflate", None),
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("br;q=0.5, gzip;q=0.8", Some("gzip")),
        ("gzip;q=0.1, br;q=0.1", Some("br")),
        ("br;q=0, gzip;q=0", None),
        ("br;q=0, *", Some("gzip")),
        ("*;q=0.1, identity;q=0.5", None),
        ("identity;q=0, br;q=0.2", Some("br")),
        ("identity;q=0, *;q=0.2", Some("br")),
        // Nothing is acceptable: a body that the client may not read is better than no body.
        ("identity;q=0", None),
        ("*;q=0", None),
    ] {
        let answer = get_with(&server, "/films", &[("accept-encoding", accepted)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), coding, "{accepted:?}");
    }
    let twice = [("accept-encoding", "gzip;q=0.5"), ("accept-encoding", "br")];
    let answer = get_with(&server, "/films", &twice).await;
    assert_eq!(answer.header("content-encoding"), Some("br"));

    let small = [("accept-encoding", "br, gzip, identity;q=0")];
    let answer = get_with(&server, "/films?limit=1&fields=title", &small).await;
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (200, None)
    );
}
