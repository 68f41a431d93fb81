//! After a round: soon every reader serves what the upstream has, and the release log is whole.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::answer::{generation, ids};
use super::record::Record;
use super::report::RECOVERS;
use super::stack::{Slot, Stack};
use crate::client::try_get;

/// The bound for a full recovery: the lease of a dead poller expires, a poller retries after its
/// pause between failing syncs, and readers notice the change.
const RECOVERY: Duration = Duration::from_secs(90);

/// The time between two checks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits until everything is right, and informs the model.
pub(super) async fn settle(stack: &Stack, record: &Record) {
    let began = Instant::now();
    loop {
        let unsettled = match look(stack).await {
            Ok(()) => {
                stack.look(record, "", "").await;
                // A poller that was away may still restore something.
                record.with(|known| known.model.unsettled(record.now()))
            }
            Err(reason) => Some((RECOVERS, reason)),
        };
        let Some((promise, seen)) = unsettled else {
            break;
        };
        if began.elapsed() > RECOVERY {
            record.with(|known| known.model.broken(promise, seen));
            return;
        }
        sleep(INTERVAL).await;
    }
    record.with(|known| {
        known.figures.forgetting += usize::from(known.model.forgetting);
        known.model.settled();
        known.wrong_time = false;
        let longest = &mut known.figures.longest_recovery;
        *longest = (*longest).max(began.elapsed());
    });
}

/// Whether every reader serves the upstream's bytes, all from one generation.
async fn look(stack: &Stack) -> Result<(), String> {
    let films = &stack.upstream.catalogue()["films"];
    let wanted = serde_json::to_string_pretty(films).expect("a JSON value can be written");
    let mut generations = BTreeSet::new();
    for Slot { node, url, .. } in &stack.readers {
        let ask = async |path| {
            let answer = try_get(&format!("{url}{path}")).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            let problem = format!("{node:?}: status {} to {path}", answer.status);
            Some(answer)
                .filter(|answer| answer.status == 200)
                .ok_or(problem)
        };
        let answer = ask("/films").await?;
        if answer.body != wanted {
            let (served, films) = (ids(&answer.json()), ids(films));
            return Err(format!(
                "{node:?} serves {served:?}, or others of {films:?}"
            ));
        }
        generations.insert(generation(&ask("/movies").await?));
        if generations.len() > 1 {
            return Err(format!("readers are at generations {generations:?}"));
        }
    }
    Ok(())
}
