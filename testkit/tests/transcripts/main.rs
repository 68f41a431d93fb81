//! The mirror answers each recorded request as the original server did, or differs for a named
//! reason.
//!
//! The recordings and their data are not part of the repository. If they lie beside the checkout,
//! the test replays them; otherwise it is skipped.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod difference;
mod transcript;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use testkit::client::{Response, request};
use testkit::mirror::Mirror;
use testkit::skip;

use difference::Difference;
use transcript::Transcript;

/// The original server's address during the recording; it appears in `Link` headers.
const RECORDED_AT: &str = "http://127.0.0.1:58573";

#[tokio::test]
async fn recorded_answers_are_answered_alike_or_differ_for_a_named_reason() {
    let upstream = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/upstream");
    let folder = upstream.join("transcripts");
    if !folder.is_dir() {
        skip("transcripts", "there are none beside this checkout");
        return;
    }
    let transcripts = Transcript::read_all(&folder);
    assert!(!transcripts.is_empty(), "{} is empty", folder.display());

    let data = std::fs::read(upstream.join("data.json")).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    let mirror = Mirror::of(data.clone()).await;
    let environment = [("LINKS", "upstream"), ("PUBLIC_URL", RECORDED_AT)];
    let server = mirror.server(&environment).await;

    let mut same = 0;
    let mut named: BTreeMap<Difference, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for transcript in &transcripts {
        let headers: Vec<_> = transcript
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let url = format!("{}{}", server.url(), transcript.path);
        let ours = request(transcript.method.clone(), &url, &headers).await;
        let differing = differing(transcript, &ours);
        if differing.is_empty() {
            same += 1;
        } else if let Some(reason) = Difference::explaining(transcript, &ours, &data) {
            *named.entry(reason).or_default() += 1;
        } else {
            let name = &transcript.name;
            unexplained.push(format!("{name}: {}", differing.join("; ")));
        }
    }
    let all = transcripts.len();
    println!("{all} transcripts: {same} the same, {named:?}");
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}

/// All differences between our answer and the recorded one. The entity tag replaces a body that was
/// not recorded, because it is computed from the body's bytes.
fn differing(transcript: &Transcript, ours: &Response) -> Vec<String> {
    let mut found = Vec::new();
    if ours.status != transcript.status {
        found.push(format!("{} instead of {}", ours.status, transcript.status));
    }
    let mut names = vec![
        "content-type",
        "content-encoding",
        "x-total-count",
        "link",
        "etag",
    ];
    if transcript.method == "HEAD" {
        names.push("content-length");
    }
    for name in names {
        let (theirs, ours) = (transcript.answer(name), ours.header(name));
        if theirs != ours {
            found.push(format!("{name}: {ours:?} instead of {theirs:?}"));
        }
    }
    if transcript
        .body
        .as_ref()
        .is_some_and(|body| *body != ours.body)
    {
        found.push("another body".to_owned());
    }
    found
}
