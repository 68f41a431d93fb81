//! After a round: soon every reader serves what the upstream has, and the release log is whole.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::client::generation;
use super::promise::Promise;
use super::record::Record;
use super::stack::{Slot, Stack};
use crate::client::try_get;

/// The bound for a full recovery: the lease of a dead poller expires, a poller retries after its
/// pause between failing syncs, and readers notice the change.
const RECOVERY: Duration = Duration::from_secs(90);

/// The time between two checks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits until everything is right, and informs the model. Returns whether the mirror was allowed
/// to forget something.
pub(super) async fn settle(stack: &Stack, record: &Record) -> bool {
    let began = Instant::now();
    let log = loop {
        let wrong = match look(stack).await {
            Ok(()) => match release_log(stack).await {
                // A poller that was away may still restore something.
                Some(log) => match record.with(|known| known.model.wrong_in_log(&log)) {
                    None => break log,
                    Some(wrong) => (Promise::ReleaseLog, wrong),
                },
                // The cache was just flushed, and readers serve from memory.
                None => (Promise::Recovers, "the cache is empty".to_owned()),
            },
            Err(reason) => (Promise::Recovers, reason),
        };
        if began.elapsed() > RECOVERY {
            let (promise, seen) = wrong;
            record.with(|known| known.model.broken(promise, seen));
            return false;
        }
        sleep(INTERVAL).await;
    };
    record.with(|known| {
        known.model.release_log(&log);
        known.figures.silent = known.model.silent();
        let forgetting = known.model.is_forgetting();
        known.model.settled();
        let longest = &mut known.figures.longest_recovery;
        *longest = (*longest).max(began.elapsed());
        forgetting
    })
}

/// Whether every reader serves the upstream's bytes, all from one generation.
async fn look(stack: &Stack) -> Result<(), String> {
    let wanted = serde_json::to_string_pretty(&stack.upstream.catalogue()["films"])
        .expect("a JSON value can be written");
    let mut generations = Vec::new();
    for reader in stack.readers() {
        let films = ask(reader, "/films").await?;
        if films.body != wanted {
            let count = |json: &str| {
                serde_json::from_str::<Value>(json)
                    .ok()
                    .and_then(|films| films.as_array().map(Vec::len))
            };
            let (has, wants) = (count(&films.text()), count(&wanted));
            return Err(format!(
                "{} serves other films than the upstream: {has:?} of {wants:?}",
                reader.node
            ));
        }
        generations.push(generation(&ask(reader, "/movies").await?));
    }
    if generations
        .iter()
        .any(|generation| *generation != generations[0])
    {
        return Err(format!(
            "readers are at different generations: {generations:?}"
        ));
    }
    Ok(())
}

async fn ask(reader: &Slot, path: &str) -> Result<crate::client::Response, String> {
    let answer = try_get(&format!("{}{path}", reader.url)).await;
    let answer = answer.map_err(|error| format!("{}: {error:#}", reader.node))?;
    if answer.status == 200 {
        Ok(answer)
    } else {
        Err(format!(
            "{}: status {} to {path}",
            reader.node, answer.status
        ))
    }
}

/// The release log in the cache, if the cache holds one.
async fn release_log(stack: &Stack) -> Option<Vec<(u64, String)>> {
    let snapshot = stack
        .redis
        .lock()
        .await
        .cli(&["GET", "{ghibli}:snapshot"])
        .await;
    if snapshot.is_empty() {
        return None;
    }
    let snapshot: Value = serde_json::from_str(&snapshot).expect("the snapshot is JSON");
    let log = snapshot["releases"].as_array().expect("a list of releases");
    let entry = |release: &Value| {
        let sequence = release["sequence"].as_u64().unwrap_or_default();
        let id = release["id"].as_str().unwrap_or_default();
        (sequence, id.to_owned())
    };
    Some(log.iter().map(entry).collect())
}
