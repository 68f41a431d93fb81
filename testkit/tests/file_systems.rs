//! Unusual file systems: without locks, without confirmation of writes, or silent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use testkit::client::{get, hammer};
use testkit::process::{Poller, Server, Signal};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};

const EINVAL: &str = "22";
const EIO: &str = "5";
const ENOLCK: &str = "37";
const EOPNOTSUPP: &str = "95";

/// The library that gives a process such a file system; the tests build it once.
fn library() -> &'static str {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/preload/disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
        let built = compiler.arg(&library).arg(source).status();
        assert!(built.unwrap().success(), "cc builds {source}");
        (folder, library)
    });
    library.to_str().unwrap()
}

fn cache(folder: &Path) -> String {
    format!("file:{}", folder.display())
}

#[tokio::test]
async fn a_commit_succeeds_on_a_file_system_without_fsync() {
    for (variable, errno) in [
        ("DISK_FSYNC_DIRECTORY", EINVAL),
        ("DISK_FSYNC_DIRECTORY", EOPNOTSUPP),
        ("DISK_FSYNC_FILE", EINVAL),
    ] {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(catalogue()));
        let poller = Poller::new(&upstream.url(), &cache(folder.path()))
            .schedule("* * * * * *")
            .env("LD_PRELOAD", library())
            .env(variable, errno)
            .start()
            .await;
        poller.synced("committed").await;
        poller.next_sync().await;
        // The poller logs this once, not at every commit.
        let logs = poller.process.logs();
        let said = |line: &&serde_json::Value| line["event"] == "cache_not_durable";
        assert_eq!(logs.iter().filter(said).count(), 1, "{variable}={errno}");
        let failed = logs.iter().any(|line| line["event"] == "cache_unreachable");
        assert!(!failed, "{variable}={errno}: {logs:?}");
    }
}

#[tokio::test]
async fn a_disk_that_really_fails_fails_the_commit_with_its_path() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(catalogue()));
    let poller = Poller::new(&upstream.url(), &cache(folder.path()))
        .env("LD_PRELOAD", library())
        .env("DISK_FSYNC_FILE", EIO)
        .start()
        .await;
    let path = folder.path().join("snapshot.json.new");
    let names_it = |line: &serde_json::Value| {
        let reason = line["reason"].as_str().unwrap();
        reason.contains(path.to_str().unwrap()) && reason.contains("Input/output error")
    };
    poller
        .process
        .wait_for_log("cache_unreachable", names_it)
        .await;
}

#[tokio::test]
async fn the_error_for_an_unusable_directory_names_it_and_a_way_out() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = file.path().join("cache");
    for (directory, errno, advice) in [
        (None, ENOLCK, "use a directory on a local disk, or Redis"),
        (
            None,
            EOPNOTSUPP,
            "use a directory on a local disk, or Redis",
        ),
        (Some(below_a_file), "", "CACHE_URL must name a directory"),
        (Some("/proc/cache".into()), "", "/proc/cache"),
    ] {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(catalogue()));
        let directory = directory.unwrap_or_else(|| folder.path().join("cache"));
        let mut poller = Poller::new(&upstream.url(), &cache(&directory));
        if !errno.is_empty() {
            poller = poller.env("LD_PRELOAD", library()).env("DISK_FLOCK", errno);
        }
        let poller = poller.start().await;
        let helps = |line: &serde_json::Value| {
            let reason = line["reason"].as_str().unwrap();
            reason.contains(advice) && reason.contains(directory.to_str().unwrap())
        };
        poller
            .process
            .wait_for_log("cache_unreachable", helps)
            .await;
    }
}

#[tokio::test]
async fn a_file_system_that_hangs_stops_neither_requests_nor_the_end() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(catalogue()));
    let switch = folder.path().join("hangs");
    let hanging = |name| (name, switch.to_str().unwrap().to_owned());
    let (variable, file) = hanging("DISK_HANGS");
    let mut poller = Poller::new(&upstream.url(), &cache(folder.path()))
        .schedule("* * * * * *")
        .env("LD_PRELOAD", library())
        .env(variable, &file)
        .start()
        .await;
    poller.synced("committed").await;
    // One thread for everything, so that a single hanging task would stop the server.
    let mut server = Server::new(&cache(folder.path()))
        .env("LD_PRELOAD", library())
        .env(variable, &file)
        .env("TOKIO_WORKER_THREADS", "1")
        .start()
        .await;
    let films = format!("{}/films", server.url());
    eventually("the films", TIME_LIMIT, async || {
        get(&films).await.status == 200
    })
    .await;

    std::fs::write(&switch, "").unwrap();
    let message = "cache_unreachable";
    server.process.wait_for_log(message, |_| true).await;
    let tally = hammer(std::slice::from_ref(&films), 1000, 4).await;
    assert!(tally.all_ok(), "{tally:?}");
    for process in [&mut server.process, &mut poller.process] {
        let threads = |status: String| {
            let line = status.lines().find(|line| line.starts_with("Threads:"));
            line.unwrap()["Threads:".len()..]
                .trim()
                .parse::<u32>()
                .unwrap()
        };
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
        assert!(threads(status.unwrap()) < 10, "no thread for each look");
        process.signal(Signal::Term);
        assert!(process.wait().await.success());
    }
}
