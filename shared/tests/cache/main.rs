//! The cache's promises, tested for both kinds with real files on disk and a real `redis-server`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod history;
mod redis;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use shared::cache::read::Reader;
use shared::cache::write::{Commit, Lease, Writer};
use shared::cache::{CacheError, CacheUrl};
use shared::catalogue::lineage::Lineage;
use shared::catalogue::snapshot::{FORMAT, Held, MAX_BYTES, Snapshot, Source};
use shared::catalogue::status::{self, Confirmation, Status};
use shared::catalogue::{Collection, Listing, PerCollection};

const LEASE: Duration = Duration::from_secs(30);

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn snapshot(generation: u64, films: usize) -> Snapshot {
    let items: Vec<_> = (0..films)
        .map(|id| serde_json::json!({ "id": id }))
        .collect();
    let listing = Listing::read(serde_json::to_string(&items).unwrap().as_bytes()).unwrap();
    Snapshot {
        format: FORMAT,
        generation,
        lineage: Lineage::default(),
        committed_at: at(),
        upstream: "https://ghibliapi.example".into(),
        releases: vec![],
        collections: PerCollection::from_fn(|collection| {
            let nothing = Held::empty(Source::Upstream, at());
            match collection {
                Collection::Films => nothing.merge(&listing, at()).0,
                _ => nothing,
            }
        }),
    }
}

fn status(generation: u64) -> Status {
    Status {
        format: status::FORMAT,
        generation,
        started_at: at(),
        finished_at: at(),
        next_attempt_at: None,
        last_success_at: None,
        failures_in_a_row: 0,
        collections: PerCollection::from_fn(|_| Confirmation::default()),
        outbox: BTreeMap::new(),
    }
}

async fn commit(writer: &mut Writer, expected: u64, generation: u64) -> Result<(), CacheError> {
    let (snapshot, status) = (snapshot(generation, 3), status(generation));
    writer
        .commit(Commit {
            expected,
            snapshot: Some(&snapshot),
            status: &status,
        })
        .await
}

fn writer(url: &CacheUrl, holder: &str) -> Writer {
    Writer::new(url, holder).unwrap()
}

/// The promises of both kinds of cache.
async fn keeps_its_promises(url: CacheUrl) {
    let mut reader = Reader::new(&url).unwrap();
    assert!(
        reader.snapshot().await.unwrap().is_none(),
        "a new cache is empty"
    );
    assert!(reader.status().await.unwrap().is_none());

    // Only the poller with the lease can commit.
    let (mut one, mut other) = (writer(&url, "one"), writer(&url, "other"));
    assert!(matches!(
        commit(&mut one, 0, 1).await,
        Err(CacheError::LeaseLost)
    ));
    assert_eq!(one.lease(LEASE).await.unwrap(), Lease::Held);
    assert_eq!(
        one.lease(LEASE).await.unwrap(),
        Lease::Held,
        "a lease can be renewed"
    );
    assert_eq!(
        other.lease(LEASE).await.unwrap(),
        Lease::HeldBy("one".to_owned())
    );
    assert!(matches!(
        commit(&mut other, 0, 1).await,
        Err(CacheError::LeaseLost)
    ));

    // A reader sees a whole commit, and a commit works only on top of the generation it builds on.
    commit(&mut one, 0, 1).await.unwrap();
    assert_eq!(reader.snapshot().await.unwrap(), Some(snapshot(1, 3)));
    assert_eq!(reader.status().await.unwrap(), Some(status(1)));
    assert!(matches!(
        commit(&mut one, 0, 2).await,
        Err(CacheError::Conflict {
            expected: 0,
            found: 1
        })
    ));
    commit(&mut one, 1, 2).await.unwrap();
    let stored = one.load().await.unwrap();
    assert_eq!(stored.snapshot.unwrap().generation, 2);
    assert_eq!(stored.status.unwrap().generation, 2);

    // A status alone leaves the snapshot unchanged.
    one.commit(Commit {
        expected: 2,
        snapshot: None,
        status: &status(2),
    })
    .await
    .unwrap();
    assert_eq!(reader.snapshot().await.unwrap().unwrap().generation, 2);

    // One poller can pass the lease to another; then the cache refuses the first one's commits.
    one.release().await.unwrap();
    assert_eq!(other.lease(LEASE).await.unwrap(), Lease::Held);
    assert!(matches!(
        commit(&mut one, 2, 3).await,
        Err(CacheError::LeaseLost)
    ));
    commit(&mut other, 2, 3).await.unwrap();
}

/// A waiting reader notices a commit within half a second.
async fn readers_notice_commits(write_to: CacheUrl, url: CacheUrl) {
    let mut writer = writer(&write_to, "one");
    assert_eq!(writer.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut writer, 0, 1).await.unwrap();
    let mut reader = Reader::new(&url).unwrap();
    // The first read of a new reader is due when it has subscribed.
    while reader.status().await.unwrap().is_none() {
        reader.look_due().await;
    }
    if matches!(url, CacheUrl::Redis(_)) {
        reader.look_due().await;
    }
    for generation in 2..6 {
        let committing = async {
            let committed = commit(&mut writer, generation - 1, generation).await;
            committed.unwrap();
            Instant::now()
        };
        // The notice may come before the commit call returns, but never before its effect.
        let noticing = async {
            while reader.status().await.unwrap().unwrap().generation < generation {
                reader.look_due().await;
            }
            Instant::now()
        };
        let (committed, noticed) = tokio::join!(committing, noticing);
        let late = noticed.saturating_duration_since(committed);
        assert!(late < Duration::from_millis(500), "{late:?}");
    }
}

fn directory() -> (tempfile::TempDir, CacheUrl) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file:{}", directory.path().join("cache").display())
        .parse()
        .unwrap();
    (directory, url)
}

#[tokio::test]
async fn a_directory_keeps_the_promises() {
    let (_directory, url) = directory();
    keeps_its_promises(url).await;
}

#[tokio::test]
async fn a_directory_notifies_readers_of_commits() {
    let (_directory, url) = directory();
    readers_notice_commits(url.clone(), url).await;
}

#[tokio::test]
async fn a_directorys_lock_stays_with_the_process_that_has_it() {
    let (_directory, url) = directory();
    let (mut one, mut other) = (writer(&url, "one"), writer(&url, "other"));
    assert_eq!(one.lease(LEASE).await.unwrap(), Lease::Held);
    assert_eq!(
        other.claim(LEASE).await.unwrap(),
        Lease::HeldBy("one".to_owned())
    );
    commit(&mut one, 0, 1).await.unwrap();
}

/// A snapshot that is too large to read must not replace one that can be read.
#[tokio::test]
async fn a_snapshot_too_large_to_read_is_not_stored() {
    let (_directory, url) = directory();
    let mut writer = writer(&url, "one");
    assert_eq!(writer.lease(LEASE).await.unwrap(), Lease::Held);
    commit(&mut writer, 0, 1).await.unwrap();
    let mut large = snapshot(2, 3);
    large.upstream = "x".repeat(MAX_BYTES);
    let refused = writer
        .commit(Commit {
            expected: 1,
            snapshot: Some(&large),
            status: &status(2),
        })
        .await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("larger than 67108864 bytes"), "{reason}");
    let stored = writer.load().await.unwrap();
    assert_eq!(stored.snapshot.unwrap().generation, 1);
    assert_eq!(stored.status.unwrap().generation, 1);
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_and_named() {
    let (_directory, url) = directory();
    let CacheUrl::File(path) = &url else {
        unreachable!()
    };
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("snapshot.json"), "{\"format\": 1, \"generation\"").unwrap();
    let error = Reader::new(&url).unwrap().snapshot().await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("stored snapshot is unreadable: damaged: "),
        "{error}"
    );
}
