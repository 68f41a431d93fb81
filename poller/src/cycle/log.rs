//! The log lines of a cycle: one for each release and each change of a record, then exactly one
//! that sums up the cycle.
//!
//! What lasts for more than a cycle is not here but in [`crate::trouble`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::catalogue::snapshot::Release;
use shared::catalogue::{Changes, Collection};
use shared::log;
use shared::service::telemetry::{clock, events};

use super::report::{MOST_NAMED, Report, shown, unless_zero};
use super::verdict::{CycleOutcome, Verdict};

/// Logs `$event` for each of the first `$items`, and once for the rest.
macro_rules! log_each {
    ($event:path, $collection:expr, $what:literal, $items:expr, $item:pat => $($line:tt)+) => {
        let (collection, items) = ($collection.name(), $items);
        for $item in items.iter().take(MOST_NAMED) {
            log!($event, collection, $($line)+);
        }
        if let Some(records) = unless_zero(items.len().saturating_sub(MOST_NAMED)) {
            log!($event, collection, records, "{collection}: {records} more {}", $what);
        }
    };
}

impl Report {
    /// Writes the cycle's log lines.
    pub fn log(&self) {
        for collection in Collection::ALL {
            self.log_records(collection);
        }
        for release in &self.released {
            let Release { sequence, .. } = *release;
            let (id, title) = (shown(&release.id), shown(&release.title));
            log!(
                events::RELEASE_APPENDED,
                sequence,
                id,
                title,
                "release {sequence}: {title}, film {id}"
            );
        }
        self.log_sum();
    }

    fn log_records(&self, collection: Collection) {
        if let Some(changes) = self.verdicts[collection].changes() {
            log_each!(events::RECORD_CHANGED, collection, "changed", &changes.updated, update =>
                id = shown(&update.id), fields = shown(&update.fields.join(",")),
                "{collection}: record {} changed: {}",
                shown(&update.id), shown(&update.fields.join(", ")));
            log_each!(events::RECORD_WITHDRAWN, collection, "withdrawn", &changes.withdrawn, id =>
                id = shown(id),
                "{collection}: the upstream no longer lists record {}, which is kept", shown(id));
            log_each!(events::RECORD_RESTORED, collection, "restored", &changes.returned, id =>
                id = shown(id), "{collection}: the upstream lists record {} again", shown(id));
        }
        for drift in &self.drift[collection] {
            let (collection, field) = (collection.name(), shown(&drift.field));
            log!(
                events::SHAPE_DRIFT,
                collection,
                field,
                change = drift.change(),
                before = drift.before,
                after = drift.after,
                "{collection}: {}",
                drift.sentence(&field)
            );
        }
        log_each!(events::RECORD_SET_ASIDE, collection, "set aside",
            &self.newly_set_aside[collection], one =>
            index = one.index, id = one.id.as_deref().map(shown), reason = one.to_string(),
            "{collection}: set a record aside, the others go on: {one}");
        log_each!(events::DUPLICATE_ID, collection, "listed twice", &self.duplicates[collection],
            id => id = shown(id),
            "{collection}: the upstream lists id {} more than once, the first record counts",
            shown(id));
    }

    fn log_sum(&self) {
        let collections = &self.status.collections;
        let count = |verdict: &Verdict, of: fn(&Changes) -> usize| verdict.changes().map_or(0, of);
        let (ms, generation) = (milliseconds(self.duration), self.status.generation);
        let next = self.status.next_attempt_at;
        macro_rules! sync_completed {
            ($($collection:ident),*) => {
                log!(
                    events::SYNC_COMPLETED,
                    outcome = self.outcome.name(),
                    generation,
                    duration_ms = ms,
                    reason = self.reason(),
                    next_attempt_at = next.map(|moment| moment.to_rfc3339()),
                    $(
                        $collection.result = self.verdicts.$collection.name(),
                        $collection.count = self.counts.$collection,
                        $collection.appended = count(&self.verdicts.$collection, |it| it.appended.len()),
                        $collection.updated = count(&self.verdicts.$collection, |it| it.updated.len()),
                        $collection.set_aside = unless_zero(collections.$collection.set_aside),
                    )*
                    "sync completed in {ms} ms: {}; generation {generation}{}",
                    self.sentence(),
                    next_at(next)
                )
            };
        }
        sync_completed!(films, people, locations, species, vehicles);
    }

    /// What the cycle did: `1 film appended, 2 people updated`.
    fn sentence(&self) -> String {
        let mut parts = Vec::new();
        for (collection, verdict) in self.verdicts.iter() {
            let mut add = |count: usize, what| {
                if count > 0 {
                    parts.push(format!("{} {what}", counted(count, collection)));
                }
            };
            match verdict {
                Verdict::Baseline => add(self.counts[collection], "received as a baseline"),
                Verdict::Changed(changes) => {
                    add(changes.appended.len(), "appended");
                    add(changes.updated.len(), "updated");
                    add(changes.withdrawn.len(), "withdrawn");
                    add(changes.returned.len(), "restored");
                }
                _ => {}
            }
        }
        if let Some(reason) = self.reason() {
            parts.push(format!("not confirmed: {reason}"));
        } else if parts.is_empty() {
            parts.push(match self.outcome {
                CycleOutcome::Committed => "content stored in the cache".to_owned(),
                _ => "nothing changed".to_owned(),
            });
        }
        parts.join(", ")
    }
}

/// Logs a cycle that ended without a report.
pub fn log_failure(reason: &str, duration: Duration, next: Option<DateTime<Utc>>) {
    let ms = milliseconds(duration);
    log!(
        events::SYNC_COMPLETED,
        outcome = CycleOutcome::Failed.name(),
        duration_ms = ms,
        reason,
        next_attempt_at = next.map(|moment| moment.to_rfc3339()),
        "sync completed in {ms} ms: failed: {reason}{}",
        next_at(next)
    );
}

fn next_at(next: Option<DateTime<Utc>>) -> String {
    next.map(|next| format!(", next at {}", clock(next)))
        .unwrap_or_default()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn counted(count: usize, collection: Collection) -> String {
    let name = match (collection, count) {
        (Collection::People, 1) => "person",
        (Collection::Species, _) => "species",
        (_, 1) => collection.name().trim_end_matches('s'),
        _ => collection.name(),
    };
    format!("{count} {name}")
}
