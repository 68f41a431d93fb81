//! Chaos: real processes, random troubles from a seed, and one model that checks what the cache
//! holds and what clients receive.
//!
//! | part | owns |
//! |---|---|
//! | `schedule` | what can go wrong, and when; pure |
//! | `stack`, `inflict`, `clock` | the processes, the cache, and the troubles that befall them |
//! | `client` | clients that read all the time, from the readers and through the edge |
//! | `model`, `share` | what must be true; pure |
//! | `settle` | what must be true again soon after a round |
//! | [`disk`] | a full disk, which needs a disk of its own |
//! | `record`, `report` | what the run saw and counted, and the promises |
//!
//! A run consists of rounds: some seconds of overlapping troubles, and then quiet until every
//! reader serves everything. The same seed plans the same troubles at the same times; how the
//! processes react depends on the machine too.

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

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

pub use clock::{Clock, can_be_wrong as clocks_can_be_wrong};
pub use report::{ChaosOutcome, Figures, Violation};

use record::Record;
use schedule::{Planned, TroubleSchedule};
use stack::Stack;

use crate::edge;

/// How many clients send requests at the same time.
const CLIENTS: u64 = 3;

/// The time between two lines with figures.
const PROGRESS: Duration = Duration::from_secs(5);

/// What this run leaves out, because something is not installed on this machine.
pub fn left_out() -> Vec<&'static str> {
    let parts = [
        (
            clock::can_be_wrong(),
            "clocks stay right, libfaketime is missing",
        ),
        (
            edge::can_stand(),
            "no edge before the readers, traefik is missing",
        ),
    ];
    let missing = parts.into_iter().filter(|(is_there, _)| !is_there);
    missing.map(|(_, left_out)| left_out).collect()
}

/// Runs rounds of a seed for this long, and finishes the last round. Ends early when the mirror
/// breaks a promise. `progress` receives a line about each event.
///
/// # Panics
///
/// When the test equipment itself fails.
pub async fn run(
    seed: u64,
    time: Duration,
    progress: impl Fn(&str) + Send + Sync + 'static,
) -> ChaosOutcome {
    let baseline = client::ids(&crate::catalogue()["films"]);
    let record = Arc::new(Record::new(baseline, progress));
    let stack = Arc::new(Stack::new().await);
    stack.start(&record).await;
    // Before the first sync, readers have nothing to serve.
    settle::settle(&stack, &record).await;
    let edge = stack.edge().await;

    let mut running = JoinSet::new();
    background(&mut running, &stack, &record, seed);
    let has_edge = edge.is_some();
    if let Some(edge) = edge {
        let record = Arc::clone(&record);
        running.spawn(async move { client::read_through(&edge, &record, seed).await });
    }
    tokio::select! {
        () = rounds(&stack, &record, TroubleSchedule::new(seed), time) => {}
        () = record.broken() => {}
        // None of these tasks ends by itself.
        Some(ended) = running.join_next() => surface(ended),
    }
    running.shutdown().await;
    stack.stop(&record).await;

    record.with(|known| {
        // A broken promise ends the run early.
        if known.model.violations.is_empty() {
            let unexercised = known.figures.unexercised(seed, has_edge);
            known.model.violations.extend(unexercised);
        }
    });
    let (violations, figures, story) = record.with(|known| {
        let story = known.story.iter().cloned().collect();
        (known.model.violations.clone(), known.figures.clone(), story)
    });
    let logs =
        (!violations.is_empty()).then(|| record.save_logs(seed).expect("logs can be written"));
    ChaosOutcome {
        seed,
        figures,
        violations,
        story,
        logs,
    }
}

/// The background tasks: they look at the cache, read logs, send requests, and report progress.
fn background(running: &mut JoinSet<()>, stack: &Arc<Stack>, record: &Arc<Record>, seed: u64) {
    let both = || (Arc::clone(stack), Arc::clone(record));
    for client in 0..CLIENTS {
        let (stack, record) = both();
        running.spawn(async move { client::read(&stack, &record, seed ^ client).await });
    }
    let (stack, record) = both();
    running.spawn(async move {
        let progress = async {
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
        };
        tokio::join!(stack.listen(&record), stack.watch(&record), progress);
    });
}

async fn rounds(stack: &Stack, record: &Record, schedule: TroubleSchedule, time: Duration) {
    let end = record.now() + time;
    for (number, round) in schedule.enumerate() {
        if record.now() >= end {
            break;
        }
        record.log_event(&format!("== round {}", number + 1));
        troubles(stack, record, round).await;
        record.log_event("quiet");
        settle::settle(stack, record).await;
        record.with(|known| known.figures.rounds += 1);
    }
}

/// Starts all troubles of a round, each at its time, and waits until all are over.
async fn troubles(stack: &Stack, record: &Record, round: Vec<Planned>) {
    let start = tokio::time::Instant::now();
    let mut troubles: FuturesUnordered<_> = round
        .into_iter()
        .map(async |planned| {
            sleep_until(start + planned.at).await;
            inflict::inflict(stack, record, planned).await;
        })
        .collect();
    while troubles.next().await.is_some() {}
}

/// When a task panics, the run panics.
fn surface(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
