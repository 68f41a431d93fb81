//! The report of a cycle: the log lines for operators, and the summary for people.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::catalogue::snapshot::{Release, Source};
use shared::catalogue::{Collection, PerCollection, SetAside};

use crate::cycle::step::Result;
use crate::printable::printable;

/// How many unusable records the log names, per collection and cycle.
const MOST_NAMED: usize = 10;

/// How many characters to show of an id, a title or a list of fields.
const LONGEST: usize = 200;

/// One cycle.
#[derive(Clone, Debug)]
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// The current generation after the cycle.
    pub generation: u64,
    /// Whether any served collection is still the built-in one.
    pub source: Source,
    /// How long the cycle took.
    pub duration: Duration,
    /// When the next cycle is due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The result for each collection.
    pub results: PerCollection<Result>,
    /// How many records each collection has now.
    pub counts: PerCollection<usize>,
    /// Ids that the upstream listed more than once.
    pub duplicates: PerCollection<Vec<String>>,
    /// How many records of each collection's last answer cannot be used.
    pub set_aside: PerCollection<usize>,
    /// The unusable records that were not reported before.
    pub newly_set_aside: PerCollection<Vec<SetAside>>,
    /// The announced films.
    pub released: Vec<Release>,
}

/// The outcome of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All five collections were confirmed, and content changed.
    Committed,
    /// All five were confirmed, and nothing changed.
    Unchanged,
    /// Some collections were confirmed; their changes were committed.
    Partial,
    /// No collection was confirmed.
    Failed,
}

impl Outcome {
    /// The word for log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Unchanged => "unchanged",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    /// Whether all served data was confirmed.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Committed | Self::Unchanged)
    }

    /// Derives a cycle's outcome from the results of its collections.
    pub fn of(results: &PerCollection<Result>) -> Self {
        let unconfirmed = results
            .iter()
            .filter(|(_, result)| result.reason().is_some())
            .count();
        let is_content = |result: &Result| matches!(result, Result::Baseline | Result::Changed(_));
        match unconfirmed {
            0 if results.iter().any(|(_, result)| is_content(result)) => Self::Committed,
            0 => Self::Unchanged,
            some if some < Collection::ALL.len() => Self::Partial,
            _ => Self::Failed,
        }
    }
}

impl Result {
    /// The word for log lines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotModified => "not_modified",
            Self::Unchanged => "unchanged",
            Self::Baseline => "baseline",
            Self::Changed(_) => "changed",
            Self::Failed(_) => "failed",
            Self::Rejected(_) => "rejected",
        }
    }

    fn appended(&self) -> usize {
        if let Self::Changed(changes) = self {
            changes.appended.len()
        } else {
            0
        }
    }

    fn updated(&self) -> usize {
        if let Self::Changed(changes) = self {
            changes.updated.len()
        } else {
            0
        }
    }
}

impl Report {
    /// Writes the cycle's log lines: one for every release, change and rejection, then one that
    /// sums up the whole cycle.
    pub fn log(&self) {
        for (collection, result) in self.results.iter() {
            self.log_details(collection.name(), result);
            self.log_set_aside(collection);
        }
        for Release {
            sequence,
            id,
            title,
            ..
        } in &self.released
        {
            let (id, title) = (shown(id), shown(title));
            tracing::info!(sequence, id, title, "film released");
        }
        macro_rules! sync_finished {
            ($($collection:ident),*) => {
                tracing::info!(
                    outcome = self.outcome.name(),
                    generation = self.generation,
                    duration_ms = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
                    reason = self.reason(),
                    next_attempt_at = self.next_attempt_at.map(|moment| moment.to_rfc3339()),
                    $(
                        $collection.result = self.results.$collection.name(),
                        $collection.count = self.counts.$collection,
                        $collection.appended = self.results.$collection.appended(),
                        $collection.updated = self.results.$collection.updated(),
                        $collection.set_aside = unless_zero(self.set_aside.$collection),
                    )*
                    "sync finished"
                )
            };
        }
        sync_finished!(films, people, locations, species, vehicles);
    }

    /// Why something was not confirmed: each reason, with the collections that it concerns.
    pub fn reason(&self) -> Option<String> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for (collection, result) in self.results.iter() {
            let Some(reason) = result.reason() else {
                continue;
            };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, collections)) => collections.push(collection.name()),
                None => reasons.push((reason, vec![collection.name()])),
            }
        }
        let told = reasons
            .iter()
            .map(|(reason, collections)| format!("{}: {reason}", collections.join(", ")));
        Some(told.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
    }

    fn log_set_aside(&self, collection: Collection) {
        let news = &self.newly_set_aside[collection];
        let collection = collection.name();
        for one in news.iter().take(MOST_NAMED) {
            let id = one.id.as_deref().map(shown);
            let (index, reason) = (one.index, one.to_string());
            tracing::warn!(
                collection,
                index,
                id,
                reason,
                "record set aside, the others go on"
            );
        }
        if let Some(records) = unless_zero(news.len().saturating_sub(MOST_NAMED)) {
            tracing::warn!(collection, records, "more records set aside");
        }
    }

    fn log_details(&self, collection: &str, result: &Result) {
        match result {
            // A warning in every cycle: a person has to look at this.
            Result::Rejected(reason) => tracing::warn!(collection, reason, "collection rejected"),
            Result::Changed(changes) => {
                for update in &changes.updated {
                    let (id, fields) = (shown(&update.id), shown(&update.fields.join(",")));
                    tracing::info!(collection, id, fields, "record updated");
                }
                for id in changes.withdrawn.iter().map(|id| shown(id)) {
                    tracing::warn!(collection, id, "record withdrawn by the upstream, and kept");
                }
                for id in changes.returned.iter().map(|id| shown(id)) {
                    tracing::info!(collection, id, "withdrawn record returned");
                }
            }
            _ => {}
        }
        let known = collection
            .parse()
            .map(|collection: Collection| &self.duplicates[collection]);
        for id in known.into_iter().flatten().map(|id| shown(id)) {
            tracing::warn!(collection, id, "duplicate id, the first record of it wins");
        }
    }
}

/// Makes the upstream's text safe to show: an id, a title, names of fields.
fn shown(text: &str) -> String {
    printable(text, LONGEST)
}

fn unless_zero(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}

/// A table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (collection, result) in self.results.iter() {
            let (count, name) = (self.counts[collection], result.name().replace('_', " "));
            write!(f, "{collection:<10} {count:>5} records   {name}")?;
            match result {
                Result::Changed(changes) => write!(
                    f,
                    ": {} appended, {} updated, {} withdrawn, {} returned",
                    changes.appended.len(),
                    changes.updated.len(),
                    changes.withdrawn.len(),
                    changes.returned.len()
                )?,
                Result::Failed(reason) | Result::Rejected(reason) => write!(f, ": {reason}")?,
                _ => {}
            }
            if let Some(records) = unless_zero(self.set_aside[collection]) {
                write!(f, ", {records} set aside")?;
            }
            writeln!(f)?;
            for one in self.newly_set_aside[collection].iter().take(MOST_NAMED) {
                let id = one.id.as_deref().map(|id| format!(" (id {})", shown(id)));
                let id = id.unwrap_or_default();
                writeln!(f, "  set aside: {one}{id}")?;
            }
        }
        for release in &self.released {
            writeln!(f, "new release: {}", shown(&release.title))?;
        }
        if self.source == Source::BuiltIn {
            writeln!(
                f,
                "shown until the upstream answers: the built-in catalogue"
            )?;
        }
        let (outcome, generation) = (self.outcome.name(), self.generation);
        write!(
            f,
            "{outcome}: generation {generation}, {} ms",
            self.duration.as_millis()
        )
    }
}
