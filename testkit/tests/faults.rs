//! Faults that add to the honest answer. `reasons.rs` shows that the poller sees each of the others.

use std::io::Read as _;

use testkit::client::get;
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

#[tokio::test]
async fn a_bomb_is_small_until_it_is_unpacked() {
    let decompressed_bytes = 50_000_000;
    for fault in [
        Fault::GzipBomb { decompressed_bytes },
        Fault::BrotliBomb { decompressed_bytes },
    ] {
        let (_upstream, url) = misbehaving(fault);
        let answer = get(&url).await;
        let sent = answer.body.len();
        assert!(sent < 100_000, "{sent} bytes on the wire");
        let mut text = String::new();
        if answer.header("content-encoding") == Some("br") {
            let mut unpacked = brotli::Decompressor::new(&answer.body[..], 4096);
            unpacked.read_to_string(&mut text).expect("text in Brotli");
        } else {
            text = answer.text();
        }
        assert_eq!(text.len(), decompressed_bytes);
    }
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
#[should_panic(expected = "there is no collection film")]
async fn a_misspelt_collection_is_noticed() {
    Upstream::start(sample::catalogue()).misbehave_on("film", Fault::Stall);
}
