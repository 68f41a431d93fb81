//! Readers stay up when the upstream or Redis dies, or the poller in the middle of a commit.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::{Connection, get, hammer};
use testkit::process::{Poller, Process, RunningServer, Server, Signal, binaries};
use testkit::proxy::Proxy;
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};
use tokio::task::JoinHandle;

const EVERY_SECOND: &str = "* * * * * *";

fn paths(readers: &[&RunningServer]) -> Vec<String> {
    let paths = ["films", "people", "movies", "db"];
    readers
        .iter()
        .flat_map(|reader| paths.map(|path| format!("{}/{path}", reader.url())))
        .collect()
}

/// Done when 3, first part.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_upstream_dead_no_request_fails() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let (one, two) = (
        Server::new(&cache).start().await,
        Server::new(&cache).start().await,
    );
    poller.synced("committed").await;
    one.loaded().await;
    two.loaded().await;

    upstream.go_down();
    poller.synced("failed").await;
    let tally = hammer(&paths(&[&one, &two]), 10_000, 16).await;
    assert!(tally.all_ok() && tally.answered == 10_000, "{tally:?}");

    // A reader that starts now finds everything too, not only the built-in catalogue.
    let late = Server::new(&cache).start().await;
    late.loaded().await;
    let page = get(&format!("{}/movies", late.url())).await;
    assert!(!page.text().contains("built-in"));

    upstream.come_back();
    // The poller's pause now depends on the time so far: five minutes at most.
    let again = async || {
        let logs = poller.process.logs();
        logs.iter()
            .any(|line| line["event"] == "upstream_recovered")
    };
    eventually("a sync that succeeds", Duration::from_mins(6), again).await;
}

/// Done when 3, second part.
#[tokio::test(flavor = "multi_thread")]
async fn with_redis_dead_no_request_fails_and_afterwards_releases_arrive() {
    let mut redis = Redis::start_persistent().await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &redis.url())
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let server = Server::new(&redis.url());
    let (one, two) = (server.start().await, server.start().await);
    poller.synced("committed").await;
    one.loaded().await;
    two.loaded().await;

    let mark = one.process.mark();
    redis.kill().await;
    let unreadable = "cache_unreachable";
    one.process
        .wait_for_log_since(mark, unreadable, |_| true)
        .await;
    let tally = hammer(&paths(&[&one, &two]), 10_000, 16).await;
    assert!(tally.all_ok() && tally.answered == 10_000, "{tally:?}");
    assert_eq!(
        get(&format!("{}/readyz", one.admin_url())).await.status,
        200,
        "stays ready"
    );
    let (said, _) = one.process.stderr_since(mark);
    let warnings = said.iter().filter(|line| line.contains(unreadable));
    assert_eq!(warnings.count(), 1, "one warning when it starts");

    redis.restart().await;
    upstream.release("The Boy and the Heron");
    for reader in [&one, &two] {
        reader.shows("The Boy and the Heron").await;
    }
}

/// A catalogue in which every record has the same version, large enough that commits take time.
fn versioned(version: u64) -> Value {
    let mut all = catalogue();
    for records in all.as_object_mut().unwrap().values_mut() {
        for record in records.as_array_mut().unwrap() {
            record["version"] = json!(version);
            record["ballast"] = json!("x".repeat(4096));
        }
    }
    all
}

/// A client that reads `/db` all the time.
struct Watching {
    cache: String,
    /// The newest version that the client has read.
    newest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// How often the client has read any version.
    reads: Arc<AtomicU64>,
    reading: JoinHandle<()>,
    _reader: RunningServer,
}

impl Watching {
    async fn over(cache: &str) -> Self {
        let reader = Server::new(cache).start().await;
        reader.loaded().await;
        let (newest, reads): (Arc<AtomicU64>, Arc<AtomicU64>) = Default::default();
        let stop = Arc::new(AtomicBool::new(false));
        let url = format!("{}/db", reader.url());
        let reading = read(url, stop.clone(), newest.clone(), reads.clone());
        Self {
            cache: cache.to_owned(),
            newest,
            stop,
            reads,
            reading: tokio::spawn(reading),
            _reader: reader,
        }
    }

    /// A reader that starts now accepts the stored data.
    async fn a_fresh_reader_starts(&self) {
        Server::new(&self.cache).start().await.loaded().await;
    }

    /// Waits until a new read has begun and ended.
    async fn goes_on(&self) {
        let before = self.reads.load(Ordering::Relaxed);
        let is_read = async || self.reads.load(Ordering::Relaxed) > before + 1;
        eventually("another read", TIME_LIMIT, is_read).await;
    }

    /// Waits until the client reads this version. Returns the number of reads.
    async fn until(self, version: u64) -> u64 {
        let is_read = async || self.newest.load(Ordering::Relaxed) == version;
        eventually("the last version", TIME_LIMIT, is_read).await;
        self.stop.store(true, Ordering::Relaxed);
        self.reading.await.unwrap();
        self.reads.load(Ordering::Relaxed)
    }
}

/// Reads until `stop` is set. Each body must have one version, and not an older one than before.
async fn read(url: String, stop: Arc<AtomicBool>, newest: Arc<AtomicU64>, reads: Arc<AtomicU64>) {
    let mut connection = Connection::new();
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let db = connection.get(&url).await.expect("a reader answers").json();
        let records = db
            .as_object()
            .unwrap()
            .values()
            .flat_map(|it| it.as_array().unwrap());
        let versions: BTreeSet<_> = records.map(|it| it["version"].as_u64().unwrap()).collect();
        assert_eq!(versions.len(), 1, "half a commit: {versions:?}");
        let version = *versions.first().unwrap();
        assert!(version >= last, "went back from {last} to {version}");
        last = version;
        newest.store(version, Ordering::Relaxed);
        reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Releases a version, and starts a poller that syncs once.
fn sync(upstream: &Upstream, version: u64, cache: &str) -> Process {
    upstream.edit(|all| *all = versioned(version));
    let environment = [
        ("GHIBLI_API", upstream.url()),
        ("CACHE_URL", cache.to_owned()),
    ];
    Process::spawn("poller", &binaries().poller, &["sync"], &environment)
}

const KILLS: u64 = 100;

/// Done when 3, third part: the poller dies while it writes a file or syncs it to disk.
#[tokio::test(flavor = "multi_thread")]
async fn pollers_killed_while_committing_to_a_directory_leave_it_whole() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(versioned(0));
    assert!(sync(&upstream, 0, &cache).wait().await.success());
    let watching = Watching::over(&cache).await;

    let whole = length(&directory.path().join("snapshot.json")).unwrap();
    let new = directory.path().join("snapshot.json.new");
    let mut unfinished = 0;
    for kill in 1..=KILLS {
        let mut poller = sync(&upstream, kill, &cache);
        // Kills from the file's first byte to its last; after that, the poller syncs and renames
        // it.
        kill_when_written(&mut poller, &new, whole * (kill - 1) / KILLS);
        poller.wait().await;
        unfinished += u64::from(std::fs::remove_file(&new).is_ok());
        watching.goes_on().await;
        if kill % 20 == 0 {
            watching.a_fresh_reader_starts().await;
        }
    }
    assert!(sync(&upstream, KILLS + 1, &cache).wait().await.success());
    let reads = watching.until(KILLS + 1).await;
    println!("{KILLS} kills, {unfinished} of them before the new file had the old one's name");
    println!("{reads} reads, all whole, none older than the one before");
    assert!(unfinished > KILLS / 10 && reads > KILLS);
}

fn length(file: &Path) -> Option<u64> {
    Some(std::fs::metadata(file).ok()?.len())
}

/// Kills a process as soon as a file has this many bytes, or was written too quickly to see. The
/// file exists only for a moment, so this thread polls without a pause, and kills by itself.
fn kill_when_written(process: &mut Process, file: &Path, bytes: u64) {
    let until = Instant::now() + TIME_LIMIT;
    tokio::task::block_in_place(|| {
        while length(file).is_none_or(|length| length < bytes) {
            if !process.is_running() || Instant::now() > until {
                break;
            }
        }
        process.signal(Signal::Kill);
    });
}

/// The same with Redis: killed after each hundredth of the bytes that it sends.
#[tokio::test(flavor = "multi_thread")]
async fn pollers_killed_while_committing_to_redis_leave_it_whole() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.port()).await;
    let through_proxy = format!("redis://127.0.0.1:{}", proxy.port());
    let upstream = Upstream::start(versioned(0));
    assert!(sync(&upstream, 0, &redis.url()).wait().await.success());
    assert!(sync(&upstream, 1, &through_proxy).wait().await.success());
    let whole = proxy.sent();
    let watching = Watching::over(&redis.url()).await;

    let mut unfinished = 0;
    for kill in 1..=KILLS {
        proxy.send_at_most(whole * kill / KILLS);
        let mut poller = sync(&upstream, kill + 1, &through_proxy);
        let is_there = async || proxy.has_sent_all() || !poller.is_running();
        eventually("the middle of a commit", TIME_LIMIT, is_there).await;
        unfinished += u64::from(poller.is_running());
        poller.kill().await;
        // Redis keeps a dead poller's lease until it expires; the test does not wait for that.
        redis.cli(&["DEL", "{ghibli}:lease"]).await;
        watching.goes_on().await;
        if kill % 20 == 0 {
            watching.a_fresh_reader_starts().await;
        }
    }
    let last = sync(&upstream, KILLS + 2, &redis.url()).wait().await;
    assert!(last.success());
    let reads = watching.until(KILLS + 2).await;
    println!("{KILLS} kills, {unfinished} of them before the whole commit had been sent");
    println!("{reads} reads, all whole, none older than the one before");
    assert!(unfinished > KILLS / 2 && reads > KILLS);
}
