//! The report of a cycle: the log lines for operators, and the summary for people.

use std::fmt;
use std::time::Duration;

use shared::catalogue::snapshot::{Release, Source};
use shared::catalogue::status::Status;
use shared::catalogue::{Changes, Collection, PerCollection, SetAside};

use crate::cycle::verdict::{CycleOutcome, Verdict};
use crate::printable::printable;

/// How many unusable records the log names, per collection and cycle.
const MOST_NAMED: usize = 10;

/// How many characters to show of an id, a title or a list of fields.
const LONGEST: usize = 200;

/// One cycle.
#[derive(Clone, Debug)]
pub struct Report {
    /// What became of it.
    pub outcome: CycleOutcome,
    /// The status after it.
    pub status: Status,
    /// Whether any served collection is still the built-in one.
    pub source: Source,
    /// How long the cycle took.
    pub duration: Duration,
    /// What became of each collection.
    pub verdicts: PerCollection<Verdict>,
    /// How many records each collection has now.
    pub counts: PerCollection<usize>,
    /// How many of them the upstream has withdrawn.
    pub withdrawn: PerCollection<usize>,
    /// Ids that the upstream listed more than once.
    pub duplicates: PerCollection<Vec<String>>,
    /// The unusable records that were not reported before.
    pub newly_set_aside: PerCollection<Vec<SetAside>>,
    /// The announced films.
    pub released: Vec<Release>,
}

impl Report {
    /// Writes the cycle's log lines: one for every release, change and rejection, then one that
    /// sums up the whole cycle.
    pub fn log(&self) {
        for collection in Collection::ALL {
            self.log_details(collection);
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
        let collections = &self.status.collections;
        let count = |verdict: &Verdict, of: fn(&Changes) -> usize| verdict.changes().map_or(0, of);
        macro_rules! sync_finished {
            ($($collection:ident),*) => {
                tracing::info!(
                    outcome = self.outcome.name(),
                    generation = self.status.generation,
                    duration_ms = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
                    reason = self.reason(),
                    next_attempt_at = self.status.next_attempt_at.map(|moment| moment.to_rfc3339()),
                    $(
                        $collection.result = self.verdicts.$collection.name(),
                        $collection.count = self.counts.$collection,
                        $collection.appended = count(&self.verdicts.$collection, |it| it.appended.len()),
                        $collection.updated = count(&self.verdicts.$collection, |it| it.updated.len()),
                        $collection.set_aside = unless_zero(collections.$collection.set_aside),
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
        for (collection, verdict) in self.verdicts.iter() {
            let Some(reason) = verdict.reason() else {
                continue;
            };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, collections)) => collections.push(collection.name()),
                None => reasons.push((reason, vec![collection.name()])),
            }
        }
        let texts = reasons
            .iter()
            .map(|(reason, collections)| format!("{}: {reason}", collections.join(", ")));
        Some(texts.collect::<Vec<_>>().join("; ")).filter(|texts| !texts.is_empty())
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

    fn log_details(&self, collection: Collection) {
        let duplicates = &self.duplicates[collection];
        let verdict = &self.verdicts[collection];
        let collection = collection.name();
        match verdict {
            // A warning in every cycle: a person has to look at this.
            Verdict::Rejected(reason) => tracing::warn!(collection, reason, "collection rejected"),
            Verdict::Changed(changes) => {
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
        for id in duplicates.iter().map(|id| shown(id)) {
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
        for (collection, verdict) in self.verdicts.iter() {
            let (count, name) = (self.counts[collection], verdict.name().replace('_', " "));
            write!(f, "{collection:<10} {count:>5} records   {name}")?;
            match verdict {
                Verdict::Changed(changes) => write!(
                    f,
                    ": {} appended, {} updated, {} withdrawn, {} returned",
                    changes.appended.len(),
                    changes.updated.len(),
                    changes.withdrawn.len(),
                    changes.returned.len()
                )?,
                Verdict::Failed(reason) | Verdict::Rejected(reason) => write!(f, ": {reason}")?,
                _ => {}
            }
            if let Some(records) = unless_zero(self.status.collections[collection].set_aside) {
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
        let (outcome, generation) = (self.outcome.name(), self.status.generation);
        write!(
            f,
            "{outcome}: generation {generation}, {} ms",
            self.duration.as_millis()
        )
    }
}
