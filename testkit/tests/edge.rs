//! The edge's own answers always have the form of a reader's errors.
//!
//! This needs Traefik. Without it, the tests are skipped.

use std::iter;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use testkit::client::{EventStream, Response, get, request, try_get};
use testkit::edge::{Edge, can_stand, missing_in};
use testkit::mirror::Mirror;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, eventually, skip};

fn is_skipped() -> bool {
    if !can_stand() {
        skip("edge", "traefik is missing");
    }
    !can_stand()
}

fn is_ours(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(missing_in(answer), None, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_reader_every_answer_names_a_time_to_try_again() {
    if is_skipped() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let edge = Edge::start(directory.path(), iter::empty()).await;
    let edge = edge.expect("traefik is there");
    for path in ["/", "/films", "/movies?x=1", "/no/such/path", "/429"] {
        let url = format!("{}{path}", edge.url);
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "BREW"] {
            let name = Method::from_bytes(method.as_bytes()).expect("a method");
            let answer = request(name, &url, &[]).await;
            is_ours(&answer, 503);
            assert_eq!(answer.body.is_empty(), method == "HEAD", "{method} {path}");
        }
        // If this were refused, a browser would hide the 503 from its script.
        let preflight = [
            ("origin", "http://elsewhere.example"),
            ("access-control-request-method", "GET"),
        ];
        let answer = request(Method::OPTIONS, &url, &preflight).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edges_own_answers_have_the_form_of_the_readers_errors() {
    if is_skipped() {
        return;
    }
    // A stand-in for a reader that can misbehave.
    let reader = Upstream::start(testkit::catalogue());
    reader.misbehave_on("people", Fault::Stall);
    reader.misbehave_on("locations", Fault::Refuse);
    reader.misbehave_on("species", Fault::Status(503));

    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = reader.url();
    let edge = Edge::with_room_for(Some(3), directory.path(), iter::once(url.as_str())).await;
    let edge = edge.expect("traefik is there");
    let url = |path: &str| format!("{}{path}", edge.url);
    eventually("the reader behind the edge", TIME_LIMIT, async || {
        try_get(&url("/films"))
            .await
            .is_ok_and(|answer| answer.status == 200)
    })
    .await;

    let asked = async |path: &str| get(&url(path)).await;
    let (refused, busy) = tokio::join!(asked("/locations"), asked("/species"));
    is_ours(&refused, 502);
    // The edge does not change a reader's own answer.
    let said = (busy.status, busy.text());
    assert_eq!(said, (503, "Service Unavailable".to_owned()));

    // Three requests take all the room, as long as the edge retries them.
    let mut stalled = join_all(["/people"; 4].map(asked)).await;
    stalled.sort_by_key(|answer| answer.status);
    is_ours(&stalled[0], 429);
    for timed_out in &stalled[1..] {
        is_ours(timed_out, 504);
    }

    reader.go_down();
    eventually(
        "the reader's health check to fail",
        TIME_LIMIT,
        async || {
            let answer = get(&url("/films")).await;
            (answer.status == 503).then(|| is_ours(&answer, 503))
        },
    )
    .await;
    reader.come_back();
    eventually("the reader again", Duration::from_secs(5), async || {
        get(&url("/films")).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_the_edge_as_they_come() {
    if is_skipped() {
        return;
    }
    let mirror = Mirror::of(testkit::catalogue()).await;
    let reader = mirror.server(&[]).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = reader.url();
    let edge = Edge::start(directory.path(), iter::once(url.as_str())).await;
    let edge = edge.expect("traefik is there");
    let address = edge.url.trim_start_matches("http://");
    let open = async || EventStream::open(address, "/events", &[]).await.ok();
    let mut stream = eventually("a stream through the edge", TIME_LIMIT, open).await;
    for (name, change) in [
        ("generation", false),
        ("release", true),
        ("generation", false),
    ] {
        if change {
            mirror.upstream.release("Rain");
            mirror.sync().await;
        }
        let event = stream.next(TIME_LIMIT).await.expect("the stream goes on");
        assert_eq!(event.name, name);
    }
}
