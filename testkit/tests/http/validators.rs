//! `ETag`, `If-None-Match`, `Last-Modified`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use testkit::client::Response;
use testkit::mirror::Mirror;
use testkit::process::RunningServer;
use testkit::sample::COLLECTIONS;
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::{CASTLE, get_with, paths};

const PUBLIC: [(&str, &str); 1] = [("PUBLIC_URL", "https://ghibli.example")];

fn is_weak_tag(tag: &str) -> bool {
    let opaque = tag
        .strip_prefix("W/\"")
        .and_then(|tag| tag.strip_suffix('"'));
    opaque.is_some_and(|opaque| !opaque.is_empty() && !opaque.contains('"'))
}

#[tokio::test]
async fn replicas_give_the_same_bytes_the_same_weak_tag() {
    let data = catalogue();
    let mirror = Mirror::of(data.clone()).await;
    let (one, other) = (mirror.server(&PUBLIC).await, mirror.server(&PUBLIC).await);
    let mut all = paths();
    for collection in COLLECTIONS {
        for record in data[collection].as_array().unwrap() {
            all.push(format!("/{collection}/{}", record["id"].as_str().unwrap()));
        }
    }
    for path in all {
        let (one, other) = (
            get_with(&one, &path, &[]).await,
            get_with(&other, &path, &[]).await,
        );
        assert_eq!(one.body, other.body, "{path}");
        for header in ["etag", "last-modified", "link", "x-total-count"] {
            assert_eq!(one.header(header), other.header(header), "{path}: {header}");
        }
        match one.status {
            200 => assert!(is_weak_tag(one.header("etag").unwrap()), "{path}"),
            302 | 400 => assert_eq!(one.header("etag"), None, "{path}"),
            status => assert_eq!(status, 404, "{path}"),
        }
    }
    let pages = [
        get_with(&one, "/movies", &[]).await,
        get_with(&other, "/movies", &[]).await,
    ];
    assert_eq!(pages[0].body, pages[1].body);
    assert_eq!(pages[0].header("etag"), pages[1].header("etag"));
}

/// A quiet sync changes the age of the data, and nothing that a client keeps.
#[tokio::test]
async fn between_generations_the_page_stays_as_it_is() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let page = get_with(&server, "/movies", &[]).await;
    let age = async || {
        let answer = get_with(&server, "/movies", &[]).await;
        answer.header("age").unwrap().parse::<u64>().unwrap()
    };
    eventually("an age of two seconds", TIME_LIMIT, async || {
        age().await >= 2
    })
    .await;
    mirror.sync().await;
    eventually("an age that starts again", TIME_LIMIT, async || {
        age().await < 2
    })
    .await;
    let tag = page.header("etag").unwrap();
    let known = get_with(&server, "/movies", &[("if-none-match", tag)]).await;
    assert_eq!(known.status, 304);
}

#[tokio::test]
async fn a_body_that_the_client_has_is_not_sent_again() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for path in paths() {
        let answer = get_with(&server, &path, &[]).await;
        if answer.status != 200 {
            let any = get_with(&server, &path, &[("if-none-match", "*")]).await;
            assert_eq!(any.status, answer.status, "{path}");
            continue;
        }
        let weak = answer.header("etag").unwrap();
        let strong = weak.strip_prefix("W/").unwrap();
        for condition in [
            weak.to_owned(),
            strong.to_owned(),
            "*".to_owned(),
            format!("\"x\", {weak}"),
            format!("W/\"y\",{strong} , \"z\""),
        ] {
            let known = get_with(&server, &path, &[("if-none-match", &condition)]).await;
            assert_eq!(
                (known.status, known.body.len()),
                (304, 0),
                "{path}: {condition}"
            );
            for header in ["etag", "vary", "cache-control", "last-modified"] {
                assert_eq!(
                    known.header(header),
                    answer.header(header),
                    "{path}: {header}"
                );
            }
            assert_eq!(known.header("content-type"), None, "{path}");

            let anew = [
                ("if-none-match", &*condition),
                ("cache-control", "no-cache"),
            ];
            let anew = get_with(&server, &path, &anew).await;
            assert_eq!(
                (anew.status, &anew.body),
                (200, &answer.body),
                "{path}: {condition}"
            );
        }
        let other = [
            ("if-none-match", "\"x\""),
            ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ];
        let sent = get_with(&server, &path, &other).await;
        assert_eq!((sent.status, &sent.body), (200, &answer.body), "{path}");
        // The server ignores ranges and dates, as the upstream does.
        let part = get_with(&server, &path, &[("range", "bytes=0-9")]).await;
        assert_eq!((part.status, &part.body), (200, &answer.body), "{path}");
        let since = [("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
        assert_eq!(get_with(&server, &path, &since).await.status, 200, "{path}");
    }
}

/// The server splits a list at its commas, but not inside a tag.
#[tokio::test]
async fn a_tag_that_the_client_does_not_have_is_never_found_inside_of_another() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let answer = get_with(&server, "/films", &[]).await;
    let weak = answer.header("etag").unwrap();
    let strong = weak.strip_prefix("W/").unwrap();
    let opaque = strong.trim_matches('"');
    for condition in [
        "\"a,*,b\"".to_owned(),
        "\"x\", *".to_owned(),
        "*, \"x\"".to_owned(),
        "\"*\"".to_owned(),
        opaque.to_owned(),
        format!("\"{opaque}"),
        format!("\"a, {strong}"),
        format!("w/{strong}"),
    ] {
        let sent = get_with(&server, "/films", &[("if-none-match", &condition)]).await;
        assert_eq!(
            (sent.status, sent.body.len()),
            (200, answer.body.len()),
            "{condition}"
        );
    }
    for lines in [
        &[("if-none-match", "\"a,b\""), ("if-none-match", weak)][..],
        &[("if-none-match", &format!("\"a,*,b\", {strong}"))],
        &[("if-none-match", &format!("\"x\\\", {strong}"))],
        &[
            ("if-none-match", weak),
            ("cache-control", "x=\"a, no-cache, b\""),
        ],
    ] {
        let known = get_with(&server, "/films", lines).await;
        assert_eq!(known.status, 304, "{lines:?}");
    }
}

/// The times in a snapshot come from the poller's clock, which may be ahead of the server's.
#[tokio::test]
async fn nothing_was_modified_later_than_now() {
    let mirror = Mirror::of(catalogue()).await;
    let directory = mirror.cache_url();
    let directory = std::path::Path::new(directory.strip_prefix("file:").unwrap());
    let year = Utc::now().format("\"%Y-").to_string();
    for document in ["snapshot.json", "status.json"] {
        let text = std::fs::read_to_string(directory.join(document)).unwrap();
        assert!(text.contains(&year), "{document}");
        std::fs::write(directory.join(document), text.replace(&year, "\"2999-")).unwrap();
    }
    let server = mirror.server(&[]).await;
    let film = format!("/films/{CASTLE}");
    for (path, headers) in [
        ("/films", &[][..]),
        ("/db", &[]),
        (&*film, &[]),
        ("/films", &[("if-none-match", "*")]),
    ] {
        let answer = get_with(&server, path, headers).await;
        let moment = |name: &str| {
            let date = answer.header(name).unwrap();
            DateTime::parse_from_rfc2822(date).unwrap()
        };
        assert!(moment("last-modified") <= moment("date"), "{path}");
        assert_eq!(answer.header("age"), Some("0"), "{path}");
    }
}

/// `Last-Modified` and `ETag` of every body with a `Last-Modified`.
async fn moments(server: &RunningServer, paths: &[String]) -> BTreeMap<String, (String, String)> {
    let mut moments = BTreeMap::new();
    for path in paths {
        let answer = get_with(server, path, &[]).await;
        let value_of = |header: &str| answer.header(header).unwrap().to_owned();
        moments.insert(path.clone(), (value_of("last-modified"), value_of("etag")));
    }
    moments
}

fn date(answer: &Response) -> String {
    answer.header("date").unwrap().to_owned()
}

#[tokio::test]
async fn a_body_is_as_old_as_its_last_change_on_every_replica() {
    let data = catalogue();
    let mirror = Mirror::of(data.clone()).await;
    let server = mirror.server(&PUBLIC).await;
    let mut all: Vec<_> = COLLECTIONS.iter().map(|name| format!("/{name}")).collect();
    all.push("/db".to_owned());
    for collection in ["films", "people"] {
        for record in data[collection].as_array().unwrap() {
            all.push(format!("/{collection}/{}", record["id"].as_str().unwrap()));
        }
    }
    let first = moments(&server, &all).await;

    // The dates have whole seconds, so a change shows from the next second on.
    let start = date(&get_with(&server, "/", &[]).await);
    let next_second = async || date(&get_with(&server, "/", &[]).await) != start;
    eventually("the next second", TIME_LIMIT, next_second).await;
    mirror.upstream.change("films", CASTLE, "rt_score", "96");
    mirror.sync().await;
    let castle = format!("/films/{CASTLE}");
    let changed = async || moments(&server, &all[..1]).await["/films"] != first["/films"];
    eventually("the change", TIME_LIMIT, changed).await;

    let second = moments(&server, &all).await;
    let moved: Vec<_> = all
        .iter()
        .filter(|path| first[*path] != second[*path])
        .collect();
    assert_eq!(moved, ["/films", "/db", &castle]);
    for path in moved {
        let ((was, tag), (is, new_tag)) = (&first[path], &second[path]);
        assert!(was != is && tag != new_tag, "{path}");
        assert_eq!(is, &second[&castle].0, "{path}");
    }

    let late = mirror.server(&PUBLIC).await;
    assert_eq!(moments(&late, &all).await, second);
    let made = get_with(&late, "/films?limit=2", &[]).await;
    assert_eq!(
        made.header("last-modified"),
        None,
        "put together for the request"
    );
}

/// A query that selects everything gets the text that is rendered, put together from its records.
#[tokio::test]
async fn a_query_for_whole_records_gets_the_bytes_of_the_collection() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&PUBLIC).await;
    for collection in COLLECTIONS {
        let whole = get_with(&server, &format!("/{collection}"), &[]).await;
        let records = whole.json().as_array().unwrap().len();
        // The second query is too long to be answered where the first one is.
        for query in [
            "limit=250".to_owned(),
            format!("limit={records}&_={}", "0".repeat(200)),
        ] {
            let path = format!("/{collection}?{query}");
            let selected = get_with(&server, &path, &[]).await;
            assert_eq!(selected.body, whole.body, "{path}");
            assert_eq!(selected.header("etag"), whole.header("etag"), "{path}");
        }
        let none = get_with(&server, &format!("/{collection}?limit=0"), &[]).await;
        assert_eq!(none.body, &b"[]"[..]);
    }
}
