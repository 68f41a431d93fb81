//! The poller's own metrics. The daemon reports each cycle and each look at the lease here.
//!
//! Owns the figures and their names. Never decides anything.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::catalogue::{Changes, Collection, PerCollection};
use shared::service::metrics::Page;

use crate::cycle::Cycle;
use crate::cycle::report::Report;
use crate::cycle::shape::Drift;
use crate::cycle::verdict::{CycleOutcome, Verdict};
use crate::notify::webhooks::Attempts;

/// Every outcome of a cycle: those of [`CycleOutcome`], then what kept a cycle from having one.
const OUTCOMES: [&str; 6] = [
    CycleOutcome::Committed.name(),
    CycleOutcome::Unchanged.name(),
    CycleOutcome::Partial.name(),
    CycleOutcome::Failed.name(),
    ERROR,
    STANDBY,
];
const ERROR: &str = "error";
const STANDBY: &str = "standby";

/// The upper bounds of a cycle's duration, in seconds; no cycle may take longer than 40.
const BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0];

/// A kind of change to a record, and how to count it.
type Kind = (&'static str, fn(&Changes) -> usize);

const KINDS: [Kind; 4] = [
    ("appended", |it| it.appended.len()),
    ("updated", |it| it.updated.len()),
    ("withdrawn", |it| it.withdrawn.len()),
    ("returned", |it| it.returned.len()),
];

/// What happened so far.
#[derive(Clone, Debug)]
pub struct PollerMetrics(Arc<Mutex<Figures>>);

#[derive(Debug, Default)]
struct Figures {
    outcomes: [u64; OUTCOMES.len()],
    durations: [u64; BOUNDS.len() + 1],
    duration: Duration,
    failures_in_a_row: u64,
    next_attempt: f64,
    generation: u64,
    holds_lease: bool,
    releases: u64,
    webhooks_waiting: usize,
    attempts: Arc<Attempts>,
    collections: PerCollection<Figure>,
}

#[derive(Debug, Default)]
struct Figure {
    last_attempt: f64,
    last_success: f64,
    current: usize,
    withdrawn: usize,
    set_aside: usize,
    changes: [u64; KINDS.len()],
    rejections: u64,
    drifts: [u64; Drift::CHANGES.len()],
}

impl PollerMetrics {
    /// Nothing has happened yet. `attempts` counts those of the webhooks.
    pub fn new(attempts: Arc<Attempts>) -> Self {
        let figures = Figures {
            attempts,
            ..Figures::default()
        };
        Self(Arc::new(Mutex::new(figures)))
    }

    /// Notes what became of a cycle; `None` when an error ended it.
    pub fn note(&self, cycle: Option<&Cycle>) {
        let mut figures = self.figures();
        let outcome = match cycle {
            Some(Cycle::Finished(report)) => {
                figures.finish(report);
                report.outcome.name()
            }
            Some(Cycle::Standby { .. }) => {
                figures.holds_lease = false;
                figures.failures_in_a_row = 0;
                STANDBY
            }
            None => {
                figures.failures_in_a_row += 1;
                ERROR
            }
        };
        for (name, count) in OUTCOMES.into_iter().zip(&mut figures.outcomes) {
            *count += u64::from(name == outcome);
        }
    }

    /// Notes whether this poller has the lease.
    pub fn note_lease(&self, is_held: bool) {
        self.figures().holds_lease = is_held;
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the metrics.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn describe(&self, page: &mut Page<'_>) -> fmt::Result {
        self.figures().describe(page)
    }
}

impl Figures {
    fn finish(&mut self, report: &Report) {
        let status = &report.status;
        let took = report.duration.as_secs_f64();
        self.durations[BOUNDS.partition_point(|bound| *bound < took)] += 1;
        self.duration += report.duration;
        self.failures_in_a_row = status.failures_in_a_row.into();
        self.next_attempt = seconds(status.next_attempt_at);
        self.generation = status.generation;
        self.holds_lease = true;
        self.releases += report.released.len() as u64;
        self.webhooks_waiting = status.outbox.values().map(Vec::len).sum();
        for collection in Collection::ALL {
            let figure = &mut self.collections[collection];
            let confirmation = &status.collections[collection];
            let withdrawn = report.withdrawn[collection];
            figure.last_attempt = seconds(Some(status.finished_at));
            figure.last_success = seconds(confirmation.confirmed_at);
            figure.current = report.counts[collection].saturating_sub(withdrawn);
            figure.withdrawn = withdrawn;
            figure.set_aside = confirmation.set_aside;
            for (change, count) in Drift::CHANGES.into_iter().zip(&mut figure.drifts) {
                let drifted = report.drift[collection].iter().map(Drift::change);
                *count += drifted.filter(|one| *one == change).count() as u64;
            }
            match &report.verdicts[collection] {
                Verdict::Rejected(_) => figure.rejections += 1,
                Verdict::Changed(changes) => {
                    for ((_, of), count) in KINDS.iter().zip(&mut figure.changes) {
                        *count += of(changes) as u64;
                    }
                }
                _ => {}
            }
        }
    }

    fn describe_records(&self, page: &mut Page<'_>) -> fmt::Result {
        let records = self.collections.iter().flat_map(|(collection, figure)| {
            let states = [
                ("current", figure.current),
                ("withdrawn", figure.withdrawn),
                ("set_aside", figure.set_aside),
            ];
            let labelled = move |(state, count): (&'static str, usize)| {
                let labels = [("collection", collection.name()), ("state", state)];
                (labels, count)
            };
            states.map(labelled)
        });
        page.gauges(
            "ghibli_records",
            "Records: current; withdrawn by the upstream and kept; set aside, because they cannot be \
             used",
            records,
        )
    }

    fn describe_webhooks(&self, page: &mut Page<'_>) -> fmt::Result {
        let Attempts { delivered, failed } = &*self.attempts;
        page.counters(
            "ghibli_webhook_attempts",
            "Requests to webhooks, by outcome",
            [("delivered", delivered), ("failed", failed)]
                .map(|(outcome, count)| ([("outcome", outcome)], count.load(Ordering::Relaxed))),
        )?;
        page.gauge(
            "ghibli_webhooks_waiting",
            "Releases that had yet to reach a webhook at the end of the last sync",
            self.webhooks_waiting as u64,
        )
    }

    fn describe(&self, page: &mut Page<'_>) -> fmt::Result {
        let per_collection = |of: fn(&Figure) -> f64| {
            let each = move |(collection, figure): (Collection, &Figure)| {
                ([("collection", collection.name())], of(figure))
            };
            self.collections.iter().map(each)
        };
        page.counters(
            "ghibli_syncs",
            "Syncs, by outcome",
            OUTCOMES
                .into_iter()
                .zip(self.outcomes)
                .map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
        page.histogram(
            "ghibli_sync_duration_seconds",
            "How long syncs took that had a result",
            &BOUNDS,
            &self.durations,
            self.duration.as_secs_f64(),
        )?;
        page.gauges(
            "ghibli_last_attempt_timestamp_seconds",
            "When the upstream was last asked for the collection, in Unix time; 0 for never",
            per_collection(|it| it.last_attempt),
        )?;
        page.gauges(
            "ghibli_last_success_timestamp_seconds",
            "When the upstream last confirmed the collection, in Unix time; 0 for never",
            per_collection(|it| it.last_success),
        )?;
        page.gauge(
            "ghibli_next_attempt_timestamp_seconds",
            "When the next sync is due, in Unix time; 0 before the first",
            self.next_attempt,
        )?;
        page.gauge(
            "ghibli_consecutive_failures",
            "Syncs in a row that left a collection unconfirmed",
            self.failures_in_a_row,
        )?;
        self.describe_records(page)?;
        let changes = self.collections.iter().flat_map(|(collection, figure)| {
            let labelled = move |((kind, _), count): ((&'static str, _), u64)| {
                ([("collection", collection.name()), ("kind", kind)], count)
            };
            KINDS.into_iter().zip(figure.changes).map(labelled)
        });
        page.counters("ghibli_changes", "Changes to records, by kind", changes)?;
        page.counter(
            "ghibli_releases",
            "Films that this poller announced as new",
            self.releases,
        )?;
        self.describe_webhooks(page)?;
        page.counters(
            "ghibli_rejections",
            "Answers of the upstream that were rejected",
            self.collections.iter().map(|(collection, figure)| {
                ([("collection", collection.name())], figure.rejections)
            }),
        )?;
        let drifts = self.collections.iter().flat_map(|(collection, figure)| {
            let labelled = move |(change, count): (&'static str, u64)| {
                let labels = [("collection", collection.name()), ("change", change)];
                (labels, count)
            };
            Drift::CHANGES.into_iter().zip(figure.drifts).map(labelled)
        });
        page.counters(
            "ghibli_shape_drifts",
            "Fields that appeared, vanished, or have values of another type",
            drifts,
        )?;
        page.gauge(
            "ghibli_generation",
            "The generation that this poller last committed or found; 0 before that",
            self.generation,
        )?;
        page.gauge(
            "ghibli_lease_held",
            "Whether this poller may sync",
            u64::from(self.holds_lease),
        )
    }
}

/// A moment in Unix time, in seconds; 0 for never.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds are exact for ages"
)]
fn seconds(moment: Option<DateTime<Utc>>) -> f64 {
    moment.map_or(0.0, |moment| moment.timestamp_millis() as f64 / 1000.0)
}
