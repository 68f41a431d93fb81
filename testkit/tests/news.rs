//! A release reaches the feeds and `/changes` of a reader, once, and in the form that readers of
//! feeds expect.

use serde_json::Value;
use testkit::client::get;
use testkit::mirror::Mirror;

#[tokio::test]
async fn a_release_is_in_both_feeds_and_in_the_changes() {
    let mirror = Mirror::of(testkit::catalogue()).await;
    let server = mirror.server(&[]).await;
    let ask = async |path: &str| get(&format!("{}{path}", server.url())).await;
    assert_eq!(ask("/changes").await.json()["latest"], 0);

    let id = mirror.upstream.release("Rain & <wind>");
    mirror.sync().await;
    server.shows("Rain & <wind>").await;

    let changes = ask("/changes?since=0").await.json();
    assert_eq!(changes["changes"][0]["id"], id.as_str());
    assert_eq!(changes["next"], 1);
    assert_eq!(
        ask("/changes?since=1").await.json()["changes"],
        Value::Array(vec![])
    );

    let feed = ask("/feed.json").await;
    assert_eq!(
        feed.header("content-type"),
        Some("application/feed+json; charset=utf-8")
    );
    let items = feed.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1);
    let link = items[0]["url"].as_str().unwrap();
    let page = get(link).await.text();
    assert!(
        page.contains("<bdi>Rain &#38; &#60;wind&#62;</bdi>"),
        "{page}"
    );

    let atom = ask("/feed.atom").await;
    assert_eq!(
        atom.header("content-type"),
        Some("application/atom+xml; charset=utf-8")
    );
    let atom = atom.text();
    assert_eq!(atom.matches("<entry>").count(), 1);
    assert!(
        atom.contains("<title>Rain &#38; &#60;wind&#62;</title>"),
        "{atom}"
    );
}
