//! HTTP as clients really send it: raw characters in targets, too many slashes, long values.

use serde_json::Value;
use testkit::client::raw;
use testkit::mirror::Mirror;
use testkit::process::RunningServer;
use testkit::sample::{self, Film};
use testkit::{TIME_LIMIT, catalogue};

use crate::{CASTLE, get_with};

/// Every byte as an escape.
fn escaped(text: &str) -> String {
    let escapes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    escapes.concat()
}

/// Returns the status, head and body of the answer to a GET of these raw bytes.
async fn ask_raw(address: &str, target: &[u8]) -> (u16, String, String) {
    let request = [
        b"GET ",
        target,
        b" HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n",
    ];
    let answer = raw(address, &request.concat(), TIME_LIMIT).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), head.to_owned(), body.to_owned())
}

async fn quoted_film() -> (Mirror, RunningServer) {
    let mut data = sample::catalogue();
    let film = Film::new("Called \"<Ponyo>\" `on` the {Cliff}|^é").with_id("a\"<b>`c`^é");
    data["films"] = serde_json::json!([Value::from(film)]);
    let mirror = Mirror::of(data).await;
    let server = mirror.server(&[]).await;
    (mirror, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_understands_characters_that_the_client_did_not_encode() {
    let (_mirror, server) = quoted_film().await;
    for target in [
        "/films/a\"<b>`c`^é",
        "/films?title_like=\"<Ponyo>\"",
        "/films?q=`on`",
        "/films?q={Cliff}|^é",
        "/films?\"title\"=x",
    ] {
        let (status, head, body) = ask_raw(&server.address, target.as_bytes()).await;
        assert_eq!(status, 200, "{target}: {head}");
        assert!(body.contains("<Ponyo>"), "{target}: {body}");
    }
    // Each visible character means the same raw and encoded, in the query and in the path.
    for byte in (b'!'..=b'~').filter(|byte| !b"#%&+/?".contains(byte)) {
        let character = char::from(byte);
        for before in ["/films?q=", "/films?title=a", "/films/a", "/nope"] {
            let spoken = ask_raw(&server.address, format!("{before}{character}").as_bytes()).await;
            let encoded = get_with(&server, &format!("{before}%{byte:02X}"), &[]).await;
            let encoded = (encoded.status, encoded.text());
            assert_eq!((spoken.0, spoken.2), encoded, "{before}{character}");
        }
    }
    // Not UTF-8: no answer is right, but the answer must be the server's own.
    let (status, head, _) = ask_raw(&server.address, b"/films?q=caf\xe9").await;
    assert!(
        status == 200 && head.contains("access-control-allow-origin: *"),
        "{head}"
    );
    let (status, _, body) = ask_raw(&server.address, b"/films/caf\xe9").await;
    assert!(status == 400 && body.contains("UTF-8"), "{body}");
}

/// A request's position on a reused connection makes no difference.
#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_connection_is_understood() {
    let (_mirror, server) = quoted_film().await;
    let quoted = "GET /films?title_like=\"<Ponyo>\" HTTP/1.1\r\nHost: a\r\nX: \"<>\"\r\n\r\n";
    let close = "GET /films/a\"<b>`c`^é HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let plain = "GET /films?q=Ponyo HTTP/1.1\r\nHost: a\r\n\r\n";
    let sent = [quoted, plain, quoted, "\r\n", quoted, close].concat();
    let answers = raw(&server.address, sent.as_bytes(), TIME_LIMIT).await;
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 5, "{answers}");
    assert_eq!(answers.matches("\"title\": ").count(), 5, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_line_that_cannot_be_read_is_refused_in_words() {
    let mirror = Mirror::of(sample::catalogue()).await;
    let server = mirror.server(&[]).await;
    for (target, hint) in [
        (&b"/films?title=Castle in the Sky"[..], "%20"),
        (b"/films?title=My HTTP", "%20"),
        (b"/films?title=Howl's H", "%20"),
        (b" /films", "%20"),
        (b"/films ", "%20"),
        (b"/films?q=a\tb", "%09"),
        (b"/films?q=\x01", "%01"),
        (b"/films?q=\x7f", "%7F"),
        (b"/films\0", "%00"),
    ] {
        let what = String::from_utf8_lossy(target);
        for (address, allowed) in [(&server.address, true), (&server.admin_address, false)] {
            let (status, head, body) = ask_raw(address, target).await;
            assert_eq!(status, 400, "{what}: {head}");
            assert!(
                head.contains("content-type: application/problem+json"),
                "{head}"
            );
            let origin = head.contains("access-control-allow-origin: *");
            assert_eq!(origin, allowed, "{what}: {head}");
            let problem: Value = serde_json::from_str(&body).unwrap();
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.ends_with(hint), "{what}: {detail}");
        }
    }
    let old = raw(&server.address, b"GET /films\r\n", TIME_LIMIT).await;
    let old = String::from_utf8(old).unwrap();
    assert!(
        old.starts_with("HTTP/1.1 400 ") && old.contains("METHOD TARGET HTTP/1.1"),
        "{old}"
    );
    // The server answers the request before the bad one, and does not read the one after it.
    let line = "GET /films HTTP/1.1\r\nHost: a\r\n\r\n";
    let sent = format!("{line}GET /films a HTTP/1.1\r\nHost: a\r\n\r\n{line}");
    let answers = raw(&server.address, sent.as_bytes(), TIME_LIMIT).await;
    let answers = String::from_utf8(answers).unwrap();
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|it| &it[..3])
        .collect();
    assert_eq!(statuses, ["200", "400"], "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slashes_are_ignored_where_the_upstream_ignores_them() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror
        .server(&[("PUBLIC_URL", "https://ghibli.example/v1")])
        .await;
    let films = get_with(&server, "/films", &[]).await.body;
    let castle = get_with(&server, &format!("/films/{CASTLE}"), &[])
        .await
        .body;
    for (path, expected) in [
        ("/films/".to_owned(), &films),
        ("/films//".to_owned(), &films),
        ("/Films//".to_owned(), &films),
        ("/films//?v=1".to_owned(), &films),
        (format!("/films/{CASTLE}/"), &castle),
        (format!("/films//{CASTLE}"), &castle),
        (format!("/films//{CASTLE}/"), &castle),
    ] {
        let answer = get_with(&server, &path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body == *expected, "{path}: another body");
    }
    for path in ["//", "///"] {
        let root = get_with(&server, path, &[]).await;
        assert_eq!(root.header("location"), Some("/v1/movies"), "{path}");
    }
    for path in [
        "//films".to_owned(),
        "/films///".to_owned(),
        "/db//".to_owned(),
        format!("/films/{CASTLE}//"),
        format!("/films//{CASTLE}//"),
        format!("/films///{CASTLE}"),
        format!("/films//{CASTLE}/people"),
        format!("/films/{CASTLE}//people"),
        format!("/films/{CASTLE}/people//"),
    ] {
        let answer = get_with(&server, &path, &[]).await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (404, &b"{}"[..]),
            "{path}"
        );
    }

    // A link to another page keeps the path of the request.
    for path in [
        "/people".to_owned(),
        "/people/".to_owned(),
        "/people//".to_owned(),
        "/PEOPLE/".to_owned(),
        format!("/films/{CASTLE}/people/"),
    ] {
        let answer = get_with(&server, &format!("{path}?_page=1&_limit=2"), &[]).await;
        let link = answer.header("link").unwrap();
        let first = format!("<https://ghibli.example/v1{path}?_page=1&_limit=2>; rel=\"first\"");
        assert!(link.starts_with(&first), "{path}: {link}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_value_is_found_by_its_whole_text() {
    let data = catalogue();
    let mirror = Mirror::of(data.clone()).await;
    let server = mirror.server(&[]).await;
    for film in data["films"].as_array().unwrap() {
        let text = film["description"].as_str().unwrap();
        let value = escaped(text);
        let answer = get_with(&server, &format!("/films?description_like={value}"), &[]).await;
        let found = answer.json();
        assert!(
            found
                .as_array()
                .unwrap()
                .iter()
                .any(|found| found["id"] == film["id"]),
            "{text}"
        );
    }
    // As long as the upstream's longest text.
    let long = "Something bizarre has come over the land. ".repeat(18);
    let mut data = sample::catalogue();
    let film = Film::new("Long").with("description", long.trim());
    data["films"] = serde_json::json!([Value::from(film)]);
    let mirror = Mirror::of(data).await;
    let server = mirror.server(&[]).await;
    let value = escaped(long.trim());
    let answer = get_with(&server, &format!("/films?description_like={value}"), &[]).await;
    assert_eq!(
        answer.json().as_array().map(Vec::len),
        Some(1),
        "{}",
        answer.text()
    );
}
