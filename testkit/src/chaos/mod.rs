//! Chaos: real processes, random troubles from a seed, and one model that checks what the cache
//! holds and what clients receive.
//!
//! | part | owns |
//! |---|---|
//! | `schedule` | what can go wrong, and when; pure |
//! | `stack`, `inflict`, `clock` | the processes, the cache, and the troubles that befall them |
//! | `client`, `answer` | clients that read all the time, from the readers and through the edge |
//! | `model`, `share` | what must be true; pure |
//! | `settle` | what must be true again soon after a round |
//! | [`disk`] | a full disk, which needs a disk of its own |
//! | `record`, `report` | what the run saw and counted, and the promises |
//!
//! A run consists of rounds: some seconds of overlapping troubles, and then quiet until every
//! reader serves everything. The same seed plans the same troubles at the same times; how the
//! processes react depends on the machine too.

mod answer;
mod client;
mod clock;
pub mod disk;
mod inflict;
mod model;
mod record;
mod report;
mod schedule;
mod settle;
mod share;
mod stack;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

pub use clock::{Clock, can_be_wrong as clocks_can_be_wrong};
use record::Record;
use stack::Stack;

use crate::edge;

/// How many clients send requests at the same time.
const CLIENTS: u64 = 3;

/// The time between two lines with figures.
const PROGRESS: Duration = Duration::from_secs(5);

/// What this run leaves out, because something is not installed on this machine.
pub fn left_out() -> Vec<&'static str> {
    let mut left_out = Vec::new();
    if !clock::can_be_wrong() {
        left_out.push("clocks stay right, libfaketime is missing");
    }
    if !edge::can_stand() {
        left_out.push("no edge before the readers, traefik is missing");
    }
    left_out
}

/// Runs rounds of a seed for this long, and finishes the last round. `progress` receives a line
/// about each event. Returns a table of what the run did.
///
/// # Errors
///
/// The promise that the mirror broke, and the events before; the run then ends early. Also when the
/// run has not exercised what it should check.
///
/// # Panics
///
/// When the test equipment itself fails.
pub async fn run(
    seed: u64,
    time: Duration,
    progress: impl Fn(&str) + Send + Sync + 'static,
) -> Result<String, String> {
    let baseline = answer::ids(&crate::catalogue()["films"]);
    let record = Arc::new(Record::new(baseline, progress));
    let stack = Arc::new(Stack::new().await);
    stack.start(&record).await;
    // Before the first sync, readers have nothing to serve.
    settle::settle(&stack, &record).await;
    record.with(|known| known.figures.forgetting = 0);
    let edge = stack.edge().await;

    let mut running = JoinSet::new();
    let both = || (Arc::clone(&stack), Arc::clone(&record));
    for client in 0..CLIENTS {
        let (stack, record) = both();
        running.spawn(async move { client::read(&stack, &record, seed ^ client).await });
    }
    if let Some(edge) = edge {
        let (_, record) = both();
        running.spawn(async move { client::read_through(&edge, &record, seed).await });
    }
    let (watcher, looks) = both();
    running.spawn(async move {
        tokio::join!(
            watcher.listen(&looks),
            watcher.watch(&looks),
            print_progress(&looks)
        );
    });
    tokio::select! {
        () = rounds(&stack, &record, seed, time) => {}
        () = record.broken() => {}
        // None of these tasks ends by itself.
        Some(ended) = running.join_next() => ended.expect("the run's own tasks do not panic"),
    }
    running.shutdown().await;
    stack.stop(&record).await;
    record.outcome(seed)
}

/// Reports progress, for ever.
async fn print_progress(record: &Record) {
    loop {
        sleep(PROGRESS).await;
        let line = record.with(|known| {
            let figures = &known.figures;
            format!(
                "-- {} answered, {} tries again; {} films released, {} logged; {} syncs",
                figures.answered + figures.edge_answered,
                figures.retried,
                figures.released,
                figures.logged,
                figures.syncs[0]
            )
        });
        record.log_event(&line);
    }
}

async fn rounds(stack: &Stack, record: &Record, seed: u64, time: Duration) {
    let end = record.now() + time;
    for (number, round) in schedule::rounds(seed).enumerate() {
        if record.now() >= end {
            break;
        }
        record.log_event(&format!("== round {}", number + 1));
        let start = Instant::now();
        // All troubles of the round, each at its time.
        join_all(round.into_iter().map(async |planned| {
            sleep_until(start + planned.at).await;
            inflict::inflict(stack, record, planned).await;
        }))
        .await;
        record.log_event("quiet");
        settle::settle(stack, record).await;
        record.with(|known| known.figures.rounds += 1);
    }
}
