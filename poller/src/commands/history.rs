//! `ghibli-poller history`: the generations that are kept, and what each changed. Reads the cache
//! and never writes, so it runs beside a poller.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use shared::cache::write::Past;
use shared::catalogue::PerCollection;
use shared::catalogue::snapshot::Snapshot;
use shared::service::console;

use super::writer;
use crate::config::PollerConfig;
use crate::difference::{self, Difference};

/// One generation.
#[derive(Debug, Serialize)]
struct Entry {
    generation: u64,
    committed_at: DateTime<Utc>,
    is_current: bool,
    /// What it changed; `None` for the oldest, because the one before is not kept.
    changes: Option<PerCollection<Difference>>,
}

/// Prints the generations, the newest first.
///
/// # Errors
/// When the cache cannot be read.
pub async fn run(config: PollerConfig, json: bool) -> Result<ExitCode> {
    let mut writer = writer(&config)?;
    let stored = writer.load().await.context("cannot read the cache")?;
    let current = stored.snapshot.context("the cache is empty")?;
    let past = writer.history().await;
    let (entries, unreadable) = entries(current, &past.context("cannot read the history")?);
    let text = if json {
        serde_json::to_string_pretty(&entries)?
    } else {
        in_words(&entries, unreadable)
    };
    Ok(console::finish(text, ExitCode::SUCCESS))
}

/// Compares each generation with the one before. Holds two snapshots at most. Also returns how many
/// documents cannot be read.
fn entries(current: Snapshot, past: &[Past]) -> (Vec<Entry>, usize) {
    let (mut entries, mut unreadable, mut later) = (Vec::new(), 0, current);
    for document in past {
        let Ok(earlier) = document.read() else {
            unreadable += 1;
            continue;
        };
        // A crash may leave a copy of the current one.
        if earlier.generation == later.generation {
            continue;
        }
        let changes = difference::between(&earlier, &later);
        entries.push(Entry::of(&later, entries.is_empty(), Some(changes)));
        later = earlier;
    }
    entries.push(Entry::of(&later, entries.is_empty(), None));
    (entries, unreadable)
}

impl Entry {
    fn of(
        snapshot: &Snapshot,
        is_current: bool,
        changes: Option<PerCollection<Difference>>,
    ) -> Self {
        Self {
            generation: snapshot.generation,
            committed_at: snapshot.committed_at,
            is_current,
            changes,
        }
    }
}

fn in_words(entries: &[Entry], unreadable: usize) -> String {
    let mut text = String::new();
    for entry in entries {
        let at = entry
            .committed_at
            .to_rfc3339_opts(SecondsFormat::Secs, true);
        let mark = if entry.is_current { "  current" } else { "" };
        let _ = writeln!(text, "generation {}  {at}{mark}", entry.generation);
        match &entry.changes {
            Some(changes) => _ = writeln!(text, "{}", difference::in_words(changes)),
            None => text.push_str("  the oldest that is kept\n"),
        }
    }
    if unreadable > 0 {
        let _ = writeln!(text, "{unreadable} more cannot be read");
    }
    text.push_str("`ghibli-poller rollback GENERATION` brings one back");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::step;

    #[test]
    fn each_generation_has_what_it_changed_and_the_oldest_nothing() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let oldest = step::built_in("https://ghibli.example", at);
        let mut pruned = oldest.clone();
        pruned.generation += 1;
        let gone = pruned.collections.films.records.remove(0);
        let (entries, _) = entries_of(&pruned, &[&pruned, &oldest]);
        let text = in_words(&entries, 1);
        assert_eq!(
            text,
            format!(
                "generation 1800000001  2027-01-15T08:00:00Z  current\n  films: 1 removed ({})\n\
                 generation 1800000000  2027-01-15T08:00:00Z\n  the oldest that is kept\n\
                 1 more cannot be read\n`ghibli-poller rollback GENERATION` brings one back",
                gone.title()
            )
        );
    }

    fn entries_of(current: &Snapshot, past: &[&Snapshot]) -> (Vec<Entry>, usize) {
        let past: Vec<_> = past.iter().map(|one| Past::of(one)).collect();
        entries(current.clone(), &past)
    }
}
