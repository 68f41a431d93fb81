//! Clients that people use: the mirror gives them the same results as the upstream.
//!
//! Two clients from Python's package index, in the versions in `testkit/clients/requirements.txt`.
//! The test installs them once, below the target directory. Where that fails, the tests are skipped.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use testkit::mirror::Mirror;
use testkit::oracle::Oracle;
use testkit::process::RunningServer;
use testkit::{catalogue, skip};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// The directory of the installed clients; `None` where they cannot be installed.
fn installed() -> Option<&'static Path> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        let python = Command::new("python3")
            .arg(script("install.py"))
            .arg(&directory)
            .output();
        let problem = match python {
            Ok(output) if output.status.success() => return Some(directory),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => format!("python3: {error}"),
        };
        skip("clients", &format!("python3 with pip is needed: {problem}"));
        None
    };
    INSTALLED.get_or_init(install).as_deref()
}

/// Runs a script with the installed clients.
fn python(name: &str, arguments: &[&str]) -> Output {
    let output = Command::new("python3")
        .arg(script(name))
        .args(arguments)
        .env("PYTHONPATH", installed().unwrap())
        // No proxy between the clients and their server.
        .env("NO_PROXY", "*")
        .env("PYTHONWARNINGS", "ignore")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stderr}");
    output
}

/// What each call of both clients returns from a base URL.
async fn calls(base: &str, with_queries: bool) -> Map<String, Value> {
    let base = base.to_owned();
    let ask = move || {
        let queries: &[&str] = if with_queries { &["queries"] } else { &[] };
        let arguments = [&[base.as_str()], queries].concat();
        serde_json::from_slice(&python("calls.py", &arguments).stdout).unwrap()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// The whole catalogue, with the upstream's own links.
async fn mirror() -> (Mirror, RunningServer) {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[("LINKS", "upstream")]).await;
    (mirror, server)
}

fn assert_same(ours: &Map<String, Value>, theirs: &Map<String, Value>) {
    assert!(ours.keys().eq(theirs.keys()), "the same calls");
    let errors = ours.values().filter(|result| result.get("error").is_some());
    let errors = errors.count();
    assert!(
        ours.len() > 500 && errors < 50,
        "{errors} errors in {} calls",
        ours.len()
    );
    for (call, result) in ours {
        assert_eq!(result, &theirs[call], "{call}");
    }
    println!(
        "{} calls, the same results, {errors} of them errors",
        ours.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_get_the_same_from_the_mirror_as_from_the_upstream() {
    if installed().is_none() {
        return;
    }
    let (mirror, server) = mirror().await;
    let ours = calls(&server.url(), false).await;
    let theirs = calls(&mirror.upstream.url(), false).await;
    assert_same(&ours, &theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_queries_get_the_answers_of_the_upstreams_software() {
    if installed().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("catalogue.json");
    std::fs::write(&file, catalogue().to_string()).unwrap();
    let Some(oracle) = Oracle::start(&file) else {
        skip("clients with queries", "needs `npm ci` in testkit/oracle");
        return;
    };
    let (_mirror, server) = mirror().await;
    let ours = calls(&server.url(), true).await;
    let theirs = calls(&oracle.base, true).await;
    assert_same(&ours, &theirs);
}

/// Runs the README's example unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_lists_films_and_who_is_in_them() {
    if installed().is_none() {
        return;
    }
    let (_mirror, server) = mirror().await;
    let base = server.url();
    let run = move || python("example.py", &[&base]).stdout;
    let stdout = tokio::task::spawn_blocking(run).await.unwrap();
    let lines: Vec<_> = std::str::from_utf8(&stdout).unwrap().lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("1986 Castle in the Sky with "),
        "{lines:?}"
    );
}
