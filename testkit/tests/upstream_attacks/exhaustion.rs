//! No data from an upstream can exhaust the memory of the poller or, through the cache, of the
//! readers: both stay within the limits of `docker-compose.yml`.

use std::fmt::Write as _;

use poller::upstream::limits::{MAX_BYTES, MAX_VALUES, check};
use serde_json::{Value, json};
use testkit::client::get;
use testkit::process::{Process, Server};
use testkit::sample::COLLECTIONS;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, catalogue, eventually};

use super::{for_all, polling, reason};

/// A service's memory limit from `docker-compose.yml`, in KiB.
fn memory_limit(service: &str) -> u64 {
    let stack = include_str!("../../../docker-compose.yml");
    let (_, section) = stack.split_once(&format!("\n  {service}:\n")).unwrap();
    let (_, limit) = section.split_once("mem_limit: ").unwrap();
    let (mebibytes, _) = limit.split_once("m\n").unwrap();
    mebibytes.parse::<u64>().unwrap() << 10
}

/// A process's highest memory use so far, in KiB.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let (kibibytes, _) = line.unwrap().trim().split_once(' ').unwrap();
    kibibytes.parse().unwrap()
}

/// A record that needs much memory but little JSON.
fn dense(values: usize) -> Value {
    json!({"id": "dense", "title": "Dense", "x": vec![0; values]})
}

/// A record that needs much JSON.
fn long(letters: usize) -> Value {
    json!({"id": "long", "text": "x".repeat(letters)})
}

/// Adds records until the list has as many values and as many bytes as the limits allow.
fn fill(records: &mut Vec<Value>) {
    let fits = |zeros, letters| {
        let filled = [records.as_slice(), &[dense(zeros), long(letters)]].concat();
        check(&serde_json::to_vec_pretty(&filled).unwrap()).is_ok()
    };
    let zeros = most(MAX_VALUES, |zeros| fits(zeros, 0));
    let letters = most(MAX_BYTES, |letters| fits(zeros, letters));
    records.extend([dense(zeros), long(letters)]);
}

/// The largest number below `excess` that fits.
fn most(mut excess: usize, fits: impl Fn(usize) -> bool) -> usize {
    let mut most = 0;
    while excess - most > 1 {
        let middle = usize::midpoint(most, excess);
        *(if fits(middle) { &mut most } else { &mut excess }) = middle;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_exhausts_the_pollers_memory() {
    const GIBIBYTE: usize = 1 << 30;
    let upstream = Upstream::start(catalogue());
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    upstream.misbehave(Fault::Status(500));
    let poller = polling(&upstream.url(), &cache).await;
    poller
        .process
        .wait_for_log("sync_completed", |_| true)
        .await;

    let bombs = [
        Fault::GzipBomb {
            decompressed_bytes: GIBIBYTE,
        },
        Fault::BrotliBomb {
            decompressed_bytes: GIBIBYTE,
        },
    ];
    let mut table = String::new();
    for bomb in bombs {
        upstream.misbehave(bomb.clone());
        let reason = reason(&poller).await;
        let _ = writeln!(table, "{bomb:?}: {reason}, {} KiB", peak(&poller.process));
        let seen = "(status 200, application/json; charset=utf-8, \"[\")";
        let expected = format!("larger than 1048576 bytes {seen}");
        assert_eq!(reason, for_all(&expected), "{table}");
    }
    upstream.behave();
    for (values, expected) in [
        (1_000_000, "larger than 1048576 bytes"),
        (60_000, "more than 20000 values"),
    ] {
        for collection in COLLECTIONS {
            upstream.replace(collection, vec![dense(values)]);
        }
        let reason = reason(&poller).await;
        let _ = writeln!(
            table,
            "{values} values: {reason}, {} KiB",
            peak(&poller.process)
        );
        let seen = "(status 200, application/json; charset=utf-8, \"[ { \"id\": \"dense\"";
        let expected = for_all(&format!("{expected} {seen}"));
        assert!(reason.starts_with(&expected), "{table}");
    }
    println!("{table}");
    assert!(peak(&poller.process) < memory_limit("poller"), "{table}");
}

/// The largest accepted data, in every collection at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_catalogue_fits_into_every_processes_memory() {
    let upstream = Upstream::start(catalogue());
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let poller = polling(&upstream.url(), &cache).await;
    let reader = Server::new(&cache).start().await;
    poller.synced("committed").await;
    for collection in COLLECTIONS {
        // The poller keeps known records, which need memory too.
        upstream.edit(|all| {
            fill(all[collection].as_array_mut().unwrap());
        });
    }
    let shown = async || {
        let url = format!("{}/vehicles", reader.url());
        get(&url).await.text().contains("\"dense\"")
    };
    eventually("the large catalogue", TIME_LIMIT, shown).await;
    for path in [
        "movies",
        "db",
        "films?q=x&_sort=title",
        "films?_embed=people",
    ] {
        let answer = get(&format!("{}/{path}", reader.url())).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let peaks = [peak(&poller.process), peak(&reader.process)];
    println!("poller and server: {peaks:?} KiB");
    assert!(peaks[0] < memory_limit("poller"), "{peaks:?}");
    assert!(peaks[1] < memory_limit("server"), "{peaks:?}");
}
