//! The report of a cycle, and the summary for people. `log` writes the log lines.

use std::fmt;
use std::time::Duration;

use shared::catalogue::snapshot::{Release, Source};
use shared::catalogue::status::Status;
use shared::catalogue::{Collection, PerCollection, SetAside};

use crate::cycle::shape::Drift;
use crate::cycle::verdict::{CycleOutcome, Verdict};
use crate::printable::printable;

/// How many records of a kind the log names, per collection and cycle.
pub(super) const MOST_NAMED: usize = 10;

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
    /// Ids that the upstream listed more than once, unless reported before.
    pub duplicates: PerCollection<Vec<String>>,
    /// The unusable records that were not reported before.
    pub newly_set_aside: PerCollection<Vec<SetAside>>,
    /// How the shape of new content differs from before.
    pub drift: PerCollection<Vec<Drift>>,
    /// The announced films.
    pub released: Vec<Release>,
}

impl Report {
    /// Why something was not confirmed: each reason, with the collections that it concerns.
    pub fn reason(&self) -> Option<String> {
        let texts: Vec<_> = self
            .reasons(|_| true)
            .iter()
            .map(|(reason, collections)| {
                let names: Vec<_> = collections.iter().map(|one| one.name()).collect();
                format!("{}: {reason}", names.join(", "))
            })
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The reasons of the verdicts for which `is_wanted` returns `true`, with their collections.
    pub(crate) fn reasons(
        &self,
        is_wanted: impl Fn(&Verdict) -> bool,
    ) -> Vec<(&str, Vec<Collection>)> {
        let mut reasons: Vec<(&str, Vec<_>)> = Vec::new();
        for (collection, verdict) in self.verdicts.iter() {
            let Some(reason) = verdict.reason().filter(|_| is_wanted(verdict)) else {
                continue;
            };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, collections)) => collections.push(collection),
                None => reasons.push((reason, vec![collection])),
            }
        }
        reasons
    }
}

/// Makes the upstream's text safe to show: an id, a title, names of fields.
pub(super) fn shown(text: &str) -> String {
    printable(text, LONGEST)
}

pub(super) fn unless_zero(count: usize) -> Option<usize> {
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
