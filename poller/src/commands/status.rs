//! `ghibli-poller status`: what the cache holds and how current it is, as a table, as JSON, and as an
//! exit status. Reads the cache alone: neither a poller nor the upstream has to answer.

use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::catalogue::PerCollection;
use shared::catalogue::snapshot::{Snapshot, Source};
use shared::catalogue::status::Status;
use shared::service::console;

use super::writer;
use crate::config::PollerConfig;
use crate::printable::printable;
use crate::schedule::Schedule;

/// How late a sync may end after it was due: the longest sync, and a margin.
const LATE: Duration = Duration::from_secs(90);

/// How many characters of a reason to show.
const LONGEST: usize = 300;

#[derive(Debug, Serialize)]
struct Overview {
    /// Whether everything is confirmed and recent.
    is_well: bool,
    /// What is not.
    problems: Vec<String>,
    generation: u64,
    committed_at: DateTime<Utc>,
    upstream: String,
    releases: usize,
    finished_at: DateTime<Utc>,
    next_attempt_at: DateTime<Utc>,
    last_success_at: Option<DateTime<Utc>>,
    failures_in_a_row: u32,
    collections: PerCollection<State>,
}

#[derive(Debug, Serialize)]
struct State {
    source: Source,
    records: usize,
    withdrawn: usize,
    set_aside: usize,
    confirmed_at: Option<DateTime<Utc>>,
    failure: Option<String>,
}

/// Prints the state of the cache. Succeeds when everything is confirmed and recent.
///
/// # Errors
/// When the cache cannot be read, or is empty.
pub async fn run(config: PollerConfig, json: bool) -> Result<ExitCode> {
    let mut writer = writer(&config)?;
    let stored = writer.load().await.context("cannot read the cache")?;
    let snapshot = stored.snapshot.context("the cache is empty")?;
    let status = stored.status.context("the cache holds no status yet")?;
    let now = Utc::now();
    let overview = Overview::of(&snapshot, &status, &config.poll_schedule, now);
    let code = if overview.is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    let text = if json {
        serde_json::to_string_pretty(&overview)?
    } else {
        overview.in_words(now)
    };
    Ok(console::finish(text, code))
}

impl Overview {
    fn of(snapshot: &Snapshot, status: &Status, schedule: &Schedule, now: DateTime<Utc>) -> Self {
        let collections = PerCollection::from_fn(|collection| {
            let held = &snapshot.collections[collection];
            let state = &status.collections[collection];
            let reason = state.failure.as_deref();
            State {
                source: held.source,
                records: held.records.len(),
                withdrawn: held.withdrawn.len(),
                set_aside: state.set_aside,
                confirmed_at: state.confirmed_at,
                failure: reason.map(|reason| printable(reason, LONGEST)),
            }
        });
        let due = status.next_attempt_at;
        let due = due.unwrap_or_else(|| schedule.next_after(status.finished_at));
        let mut problems = Vec::new();
        if now > due + LATE {
            let (ended, due) = (ago(status.finished_at, now), ago(due, now));
            problems.push(format!(
                "no poller syncs this cache: the last sync ended {ended}, the next was due {due}"
            ));
        }
        for (collection, state) in collections.iter() {
            if let Some(failure) = &state.failure {
                problems.push(format!("{collection}: {failure}"));
            } else if state.source == Source::BuiltIn {
                problems.push(format!("{collection}: the built-in catalogue"));
            } else if state.confirmed_at != Some(status.finished_at) {
                problems.push(format!("{collection}: not confirmed by the last sync"));
            }
        }
        Self {
            is_well: problems.is_empty(),
            problems,
            generation: snapshot.generation,
            committed_at: snapshot.committed_at,
            upstream: snapshot.upstream.clone(),
            releases: snapshot.releases.len(),
            finished_at: status.finished_at,
            next_attempt_at: due,
            last_success_at: status.last_success_at,
            failures_in_a_row: status.failures_in_a_row,
            collections,
        }
    }

    fn in_words(&self, now: DateTime<Utc>) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<10} {:>7} {:>9} {:>9}   confirmed",
            "collection", "records", "withdrawn", "set aside"
        );
        for (collection, state) in self.collections.iter() {
            let confirmed = state.confirmed_at;
            let confirmed = confirmed.map_or("never".to_owned(), |at| ago(at, now).to_string());
            let (records, withdrawn) = (state.records, state.withdrawn);
            let set_aside = state.set_aside;
            let _ = writeln!(
                text,
                "{collection:<10} {records:>7} {withdrawn:>9} {set_aside:>9}   {confirmed}"
            );
        }
        let (generation, upstream) = (self.generation, &self.upstream);
        let committed = ago(self.committed_at, now);
        let _ = writeln!(
            text,
            "generation {generation}, committed {committed}, from {upstream}"
        );
        let last = ago(self.finished_at, now);
        let next = ago(self.next_attempt_at, now);
        let _ = write!(text, "last sync {last}, next {next}");
        if let Some(success) = self.last_success_at.filter(|at| *at != self.finished_at) {
            let (failures, success) = (self.failures_in_a_row, ago(success, now));
            let _ = write!(
                text,
                "; {failures} failed in a row, the last success was {success}"
            );
        }
        if self.is_well {
            text.push_str("\nall is well");
        }
        for problem in &self.problems {
            let _ = write!(text, "\nNOT WELL: {problem}");
        }
        text
    }
}

/// How far a moment is from now.
struct Ago(i64);

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Ago {
    Ago((now - at).num_seconds())
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unsigned_abs();
        let length = match seconds {
            0..120 => format!("{seconds} s"),
            120..7200 => format!("{} min", seconds / 60),
            7200..172_800 => format!("{} h", seconds / 3600),
            _ => format!("{} days", seconds / 86_400),
        };
        match self.0 {
            0.. => write!(f, "{length} ago"),
            _ => write!(f, "in {length}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared::catalogue::Collection;
    use shared::catalogue::status::{Confirmation, FORMAT};

    use super::*;
    use crate::cycle::step;

    #[test]
    fn all_is_well_only_while_every_collection_is_confirmed_and_syncs_go_on() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let mut snapshot = step::built_in("https://ghibli.example", at);
        let confirmation = Confirmation {
            rejected: false,
            confirmed_at: Some(at),
            failure: None,
            set_aside: 0,
        };
        let mut status = Status {
            format: FORMAT,
            generation: snapshot.generation,
            started_at: at,
            finished_at: at,
            next_attempt_at: None,
            last_success_at: Some(at),
            failures_in_a_row: 0,
            collections: PerCollection::from_fn(|_| confirmation.clone()),
            outbox: BTreeMap::new(),
        };
        let schedule = Schedule::default();
        let after = |seconds| at + Duration::from_secs(seconds);
        let problems = |snapshot: &Snapshot, status: &Status, seconds| {
            Overview::of(snapshot, status, &schedule, after(seconds)).problems
        };
        assert_eq!(problems(&snapshot, &status, 1).len(), 5, "built in");
        for collection in Collection::ALL {
            snapshot.collections[collection].source = Source::Upstream;
        }
        assert_eq!(problems(&snapshot, &status, 150), [""; 0]);
        assert_eq!(
            problems(&snapshot, &status, 151),
            [
                "no poller syncs this cache: the last sync ended 2 min ago, the next was due 91 s ago"
            ]
        );
        status.next_attempt_at = Some(after(300));
        assert_eq!(problems(&snapshot, &status, 389), [""; 0]);
        status.collections.films.failure = Some("unreachable\u{1b}".to_owned());
        assert_eq!(
            problems(&snapshot, &status, 1),
            ["films: unreachable\\u{1b}"]
        );
        let overview = Overview::of(&snapshot, &status, &schedule, after(7300));
        let text = overview.in_words(after(7300));
        assert!(
            text.contains("films           22         0         0   2 h ago\n"),
            "{text}"
        );
        assert!(
            text.ends_with("NOT WELL: films: unreachable\\u{1b}"),
            "{text}"
        );
        assert_eq!(ago(after(30), at).to_string(), "in 30 s");
    }
}
