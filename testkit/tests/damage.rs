//! A cache whose files are damaged, or from another build, under a running server and poller.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use testkit::client::get;
use testkit::mirror::Mirror;
use testkit::process::RunningServer;
use testkit::{TIME_LIMIT, eventually, sample};

const WARNING: &str = "cache_unreachable";

fn file(mirror: &Mirror, name: &str) -> PathBuf {
    PathBuf::from(mirror.cache_url().strip_prefix("file:").unwrap()).join(name)
}

/// Replaces a file as a whole, so that no process sees half of it.
fn put(path: &Path, contents: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::rename(new, path).unwrap();
}

fn warnings(server: &RunningServer) -> Vec<Value> {
    let mut logs = server.process.logs();
    logs.retain(|line| line["event"] == WARNING);
    logs
}

async fn films(server: &RunningServer) -> usize {
    let films = get(&format!("{}/films", server.url())).await;
    assert_eq!(films.status, 200);
    films.json().as_array().unwrap().len()
}

/// Ways to damage a document of this format, and the reason that the server reports for each.
fn damages(intact: &str, format: u32) -> Vec<(&'static str, Vec<u8>, String)> {
    let next = format + 1;
    let field = |format| format!("\"format\": {format}");
    let newer = intact.replacen(&field(format), &field(next), 1);
    let newer = (
        "newer",
        newer.into_bytes(),
        format!("format {next} is newer than {format}"),
    );
    let intact = intact.as_bytes();
    let damages = [
        ("empty", Vec::new(), "damaged: EOF"),
        (
            "cut off",
            intact[..intact.len() / 2].to_vec(),
            "damaged: EOF",
        ),
        ("zeroed", vec![0; intact.len()], "damaged: expected value"),
        ("not UTF-8", [b"{\"\xff", intact].concat(), "damaged: "),
        (
            "another document",
            b"{}".to_vec(),
            "damaged: missing field `format`",
        ),
        ("nested too deep", b"[".repeat(100_000), "damaged: "),
    ];
    let damages = damages.map(|(kind, damage, reason)| (kind, damage, reason.to_owned()));
    damages.into_iter().chain([newer]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_documents_are_refused_with_a_reason_and_the_last_good_ones_kept() {
    let mirror = Mirror::of(sample::catalogue()).await;
    let server = mirror.server(&[("LOG_LEVEL", "info,server=debug")]).await;
    let known = films(&server).await;
    let mut damaged = 0;
    for (document, format) in [("status", 1), ("snapshot", 2)] {
        let path = file(&mirror, &format!("{document}.json"));
        let intact = fs::read_to_string(&path).unwrap();
        for (kind, damage, reason) in damages(&intact, format) {
            let mark = server.process.mark();
            put(&path, &damage);
            if document == "snapshot" {
                // Without a status, the server cannot see that the snapshot is no newer than its
                // own.
                fs::rename(file(&mirror, "status.json"), file(&mirror, "away")).unwrap();
            }
            let process = &server.process;
            let line = process.wait_for_log_since(mark, WARNING, |_| true).await;
            let said = line["reason"].as_str().unwrap();
            let expected = format!("stored {document} is unreadable: {reason}");
            assert!(said.starts_with(&expected), "{kind}: {said}");
            assert_eq!(line["level"], "WARN");
            damaged += 1;

            // The server reads the document again, and does not warn again.
            put(&path, &damage);
            let again = "cache_still_unreachable";
            process.wait_for_log_since(mark, again, |_| true).await;
            assert_eq!(
                warnings(&server).len(),
                damaged,
                "{kind}: the server warns once"
            );
            assert_eq!(films(&server).await, known, "{kind}");
            let ready = get(&format!("{}/readyz", server.admin_url())).await;
            assert_eq!(ready.status, 200, "{kind}");

            let mark = server.process.mark();
            put(&path, intact.as_bytes());
            if document == "snapshot" {
                fs::rename(file(&mirror, "away"), file(&mirror, "status.json")).unwrap();
            }
            let again = "cache_back";
            process.wait_for_log_since(mark, again, |_| true).await;
        }
    }

    mirror.upstream.release("The Red Turtle");
    mirror.sync().await;
    eventually("the release", TIME_LIMIT, async || {
        films(&server).await == known + 1
    })
    .await;
}

/// The snapshot as builds before format 2 stored it.
fn in_format_1(mut snapshot: Value) -> Value {
    assert_eq!(snapshot["format"], 2);
    snapshot["format"] = json!(1);
    for (_, held) in snapshot["collections"].as_object_mut().unwrap() {
        let held = held.as_object_mut().unwrap();
        let known = ["records", "withdrawn", "changed"];
        let known: Map<_, _> = known
            .iter()
            .filter_map(|name| held.remove_entry(*name))
            .collect();
        held.insert("known".into(), known.into());
    }
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_format_1_is_served_and_synced_and_keeps_its_release_log() {
    let mirror = Mirror::of(sample::catalogue()).await;
    mirror.upstream.release("The Red Turtle");
    mirror.sync().await;
    let server = mirror.server(&[("LINKS", "upstream")]).await;
    let before = get(&format!("{}/films", server.url())).await;

    let path = file(&mirror, "snapshot.json");
    let read = || serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap();
    let stored = read();
    put(&path, in_format_1(stored.clone()).to_string().as_bytes());
    let upgraded = mirror.server(&[("LINKS", "upstream")]).await;
    let after = get(&format!("{}/films", upgraded.url())).await;
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("etag"), before.header("etag"));

    // Without a change, the poller leaves the document to older builds.
    mirror.sync().await;
    assert_eq!(read()["format"], 1);
    mirror.upstream.release("Marnie");
    mirror.sync().await;
    let synced = read();
    assert_eq!(synced["format"], 2);
    assert_eq!(synced["releases"][0], stored["releases"][0]);
    let known = before.json().as_array().unwrap().len();
    for server in [&server, &upgraded] {
        eventually("the release", TIME_LIMIT, async || {
            films(server).await == known + 1
        })
        .await;
    }
}
