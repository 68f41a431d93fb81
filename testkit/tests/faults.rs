//! Each fault does what its name says, and nothing else.

use std::io::Read as _;
use std::time::{Duration, Instant};

use http::Method;
use testkit::client::{Connection, get, raw, request, try_get};
use testkit::sample;
use testkit::upstream::{Fault, Upstream};

fn misbehaving(fault: Fault) -> (Upstream, String) {
    let upstream = Upstream::start(sample::catalogue());
    upstream.misbehave(fault);
    let url = format!("{}/films", upstream.url());
    (upstream, url)
}

fn honest() -> String {
    serde_json::to_string_pretty(&sample::catalogue()["films"]).expect("JSON can be written")
}

/// The raw text that arrives within this time.
async fn received(upstream: &Upstream, within: Duration) -> String {
    let bytes = b"GET /films HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let received = raw(("127.0.0.1", upstream.port()), bytes, within).await;
    String::from_utf8_lossy(&received).into_owned()
}

#[tokio::test]
async fn refuse_resets_new_and_kept_connections() {
    let upstream = Upstream::start(sample::catalogue());
    let url = format!("{}/films", upstream.url());
    let mut kept = Connection::new();
    kept.get(&url).await.expect("an honest answer");

    upstream.misbehave(Fault::Refuse);
    assert!(kept.get(&url).await.is_err());
    assert!(try_get(&url).await.is_err());

    upstream.behave();
    assert_eq!(get(&url).await.status, 200);
}

#[tokio::test]
async fn stall_never_answers_and_ends_with_the_upstream() {
    let (upstream, url) = misbehaving(Fault::Stall);
    let stalled = tokio::spawn(async move { try_get(&url).await });
    upstream
        .wait_for("the stalled request", |counts| counts.requests == 1)
        .await;
    assert_eq!(received(&upstream, Duration::from_millis(200)).await, "");
    assert!(!stalled.is_finished());

    let stopping = Instant::now();
    upstream.stop().await;
    assert!(stalled.await.unwrap().is_err());
    assert!(stopping.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn drip_sends_the_honest_body_very_slowly() {
    let (upstream, _) = misbehaving(Fault::Drip);
    let asked = Instant::now();
    let said = received(&upstream, Duration::from_secs(1)).await;
    // One byte every tenth of a second.
    let most = usize::try_from(asked.elapsed().as_millis() / 100).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.to_lowercase()
            .contains(&format!("content-length: {}", honest().len())),
        "{head}"
    );
    assert!((1..=most).contains(&body.len()), "{body}");
    assert!(honest().starts_with(body));
    assert!(upstream.counts().body_bytes <= most as u64 + 1);
}

#[tokio::test]
async fn reset_mid_body_and_truncate_lose_the_second_half() {
    for fault in [Fault::ResetMidBody, Fault::Truncate] {
        let (upstream, url) = misbehaving(fault.clone());
        let error = try_get(&url).await.expect_err("half of a body");
        assert!(
            format!("{error:#}").contains("reading the body"),
            "{error:#}"
        );
        let was_reset = format!("{error:#}").to_lowercase().contains("reset");
        assert_eq!(was_reset, fault == Fault::ResetMidBody, "{error:#}");

        let said = received(&upstream, Duration::from_secs(5)).await;
        let (_, body) = said.split_once("\r\n\r\n").expect("a head");
        assert!(
            honest().starts_with(body) && body.len() * 2 <= honest().len(),
            "{fault:?}"
        );
        assert!(body.len() > 100, "{fault:?} sent {}", body.len());
    }
}

#[tokio::test]
async fn wrong_bodies_come_with_a_good_status() {
    let page = misbehaving(Fault::Html);
    let answer = get(&page.1).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );

    for (fault, body) in [(Fault::EmptyObject, "{}"), (Fault::EmptyList, "[]")] {
        let (_upstream, url) = misbehaving(fault);
        let answer = get(&url).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
    }

    let (_upstream, url) = misbehaving(Fault::NotJson);
    let answer = get(&url).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
}

#[tokio::test]
async fn statuses_rate_limits_and_redirects() {
    let (upstream, url) = misbehaving(Fault::Status(503));
    assert_eq!(get(&url).await.status, 503);

    upstream.misbehave(Fault::RateLimited {
        retry_after: Duration::from_millis(1500),
    });
    let answer = get(&url).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("2"))
    );

    upstream.misbehave(Fault::RedirectTo(
        "http://169.254.169.254/secrets".to_owned(),
    ));
    let answer = get(&url).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        Some("http://169.254.169.254/secrets")
    );
}

#[tokio::test]
async fn a_gzip_bomb_is_small_until_it_is_unpacked() {
    for size in [0, 2, 50_000_000] {
        let (_upstream, url) = misbehaving(Fault::GzipBomb {
            decompressed_bytes: size,
        });
        let answer = get(&url).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert!(
            answer.body.len() < 100_000,
            "{} bytes on the wire",
            answer.body.len()
        );
        let text = answer.text();
        assert_eq!(text.len(), size);
        assert!(size == 0 || text.starts_with('[') && text.ends_with(']'));
    }
}

#[tokio::test]
async fn a_brotli_bomb_is_small_until_it_is_unpacked() {
    for size in [0, 2, 50_000_000] {
        let (_upstream, url) = misbehaving(Fault::BrotliBomb {
            decompressed_bytes: size,
        });
        let answer = get(&url).await;
        assert_eq!(answer.header("content-encoding"), Some("br"));
        assert!(
            answer.body.len() < 100_000,
            "{} bytes on the wire",
            answer.body.len()
        );
        let mut text = String::new();
        brotli::Decompressor::new(&answer.body[..], 4096)
            .read_to_string(&mut text)
            .expect("text in Brotli");
        assert_eq!(text.len(), size);
        assert!(size == 0 || text.starts_with('[') && text.ends_with(']'));
    }
}

#[tokio::test]
async fn honest_bodies_come_with_odd_statuses_and_headers() {
    let (_upstream, url) = misbehaving(Fault::Answer {
        status: 308,
        headers: vec![
            ("location", "//elsewhere/films".to_owned()),
            ("link", "<one>".to_owned()),
            ("link", "<two>".to_owned()),
        ],
    });
    let answer = get(&url).await;
    assert_eq!((answer.status, answer.text()), (308, honest()));
    assert_eq!(answer.header("location"), Some("//elsewhere/films"));
    assert_eq!(answer.headers.get_all("link").iter().count(), 2);
}

#[tokio::test]
async fn texts_and_bytes_are_sent_as_they_are() {
    let (upstream, url) = misbehaving(Fault::Sends("[ \\ud83d ]".to_owned()));
    let answer = get(&url).await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, "[ \\ud83d ]".to_owned())
    );
    let etag = answer.header("etag").expect("a validator").to_owned();
    let again = request(Method::GET, &url, &[("if-none-match", &etag)]).await;
    assert_eq!(again.status, 304);

    upstream.misbehave(Fault::Exactly {
        status: 402,
        headers: vec![("content-encoding", "GZIP".to_owned())],
        body: vec![0x1f, 0xff],
    });
    let answer = get(&url).await;
    assert_eq!((answer.status, &answer.body[..]), (402, &[0x1f, 0xff][..]));
    assert_eq!(answer.header("content-encoding"), Some("GZIP"));
    assert_eq!(answer.header("content-type"), None);
}

#[tokio::test]
async fn half_an_emoji_breaks_the_last_record_and_no_other() {
    let (_upstream, url) = misbehaving(Fault::HalfEmoji);
    let text = get(&url).await.text();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
    let mended: serde_json::Value = serde_json::from_str(&text.replace("\\ud83d", "")).unwrap();
    let (mended, films) = (mended.as_array().unwrap(), &sample::catalogue()["films"]);
    let last = mended.len() - 1;
    assert_eq!(mended[..last], films.as_array().unwrap()[..last]);
    assert_eq!(mended[last]["title"], "");
}

#[tokio::test]
async fn duplicates_and_depth_are_added_to_the_honest_records() {
    let (upstream, url) = misbehaving(Fault::DuplicateIds);
    let known = sample::catalogue()["films"].as_array().unwrap().len();
    let films = get(&url).await.json();
    assert_eq!(films.as_array().unwrap().len(), known + 1);
    assert_eq!(films[known]["id"], films[0]["id"]);
    assert_ne!(films[known]["title"], films[0]["title"]);

    upstream.misbehave(Fault::DeeplyNested { depth: 50 });
    let films = get(&url).await.json();
    assert_eq!(films[known]["id"], "deep");
    upstream.replace("films", vec![]);
    assert_eq!(get(&url).await.json()[0]["id"], "deep");

    upstream.misbehave(Fault::DeeplyNested { depth: 100_000 });
    let text = get(&url).await.text();
    assert!(text.len() > 200_000);
    assert!(
        serde_json::from_str::<serde_json::Value>(&text).is_err(),
        "beyond the parser's limit"
    );
}

#[tokio::test]
async fn a_fault_on_one_collection_leaves_the_others_alone() {
    let upstream = Upstream::start(sample::catalogue());
    upstream.misbehave(Fault::Status(500));
    upstream.misbehave_on("films", Fault::EmptyList);
    let url = upstream.url();

    assert_eq!(get(&format!("{url}/films/")).await.text(), "[]");
    assert_eq!(get(&format!("{url}/people")).await.status, 500);
    assert_eq!(get(&format!("{url}/db")).await.status, 500);
    upstream.behave();
    assert_eq!(get(&format!("{url}/films")).await.text(), honest());
    assert_eq!(get(&format!("{url}/people")).await.status, 200);
}

#[tokio::test]
async fn faults_answer_head_without_a_body() {
    let (upstream, url) = misbehaving(Fault::Truncate);
    for fault in [
        Fault::Truncate,
        Fault::Drip,
        Fault::GzipBomb {
            decompressed_bytes: 9,
        },
    ] {
        upstream.misbehave(fault);
        assert!(request(Method::HEAD, &url, &[]).await.body.is_empty());
    }
    assert_eq!(upstream.counts().body_bytes, 0);
}

#[tokio::test]
#[should_panic(expected = "there is no collection film")]
async fn a_misspelt_collection_is_noticed() {
    Upstream::start(sample::catalogue()).misbehave_on("film", Fault::Stall);
}
