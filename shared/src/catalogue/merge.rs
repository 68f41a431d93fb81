//! The merge: combines the known records with the upstream's answer (sync rules 4 to 7).
//!
//! Pure. Known records keep their places whatever the upstream does; the merge never drops one.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::snapshot::{Held, Source};
use super::{Listing, Record, same_bytes};

/// What one merge did, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ids, in the order in which they were appended.
    pub appended: Vec<String>,
    /// Known ids whose content has changed.
    pub updated: Vec<Update>,
    /// Known ids that the upstream no longer lists.
    pub withdrawn: Vec<String>,
    /// Withdrawn ids that the upstream lists again.
    pub returned: Vec<String>,
}

/// A known record whose content changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The record.
    pub id: String,
    /// The names of the fields that were added, removed or given another value. Empty when only
    /// the order of the keys changed.
    pub fields: Vec<String>,
}

/// An answer that would remove more than an upstream probably intends (sync rule 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "suspicious: {gone} of {known} known records are gone{}; run `ghibli-poller accept` if the upstream means it",
    in_words(*.set_aside)
)]
pub struct Suspicion {
    /// How many records the upstream listed so far.
    pub known: usize,
    /// How many of them the answer lacks, or holds in an unusable form.
    pub gone: usize,
    /// How many records of the answer cannot be used.
    pub set_aside: usize,
}

impl Suspicion {
    /// Whether the reason of a rejection is a suspicion; only then can `accept` help.
    pub fn is_in(reason: &str) -> bool {
        reason.starts_with("suspicious: ")
    }
}

fn in_words(set_aside: usize) -> String {
    match set_aside {
        0 => String::new(),
        count => format!(", and {count} that cannot be used are set aside"),
    }
}

impl Changes {
    /// Whether the merge changed nothing.
    pub const fn is_empty(&self) -> bool {
        self.appended.is_empty()
            && self.updated.is_empty()
            && self.withdrawn.is_empty()
            && self.returned.is_empty()
    }
}

impl Held {
    /// A collection without records.
    pub const fn empty(source: Source, as_of: DateTime<Utc>) -> Self {
        Self {
            source,
            as_of,
            etag: None,
            records: Vec::new(),
            withdrawn: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    /// Merges an accepted answer. Known records keep their places and get new content where it
    /// differs; new records follow in the upstream's order. Missing records are marked withdrawn as
    /// of `at`; returned ones lose the mark. Records that are set aside stay as they are.
    #[must_use]
    pub fn merge(&self, listing: &Listing, at: DateTime<Utc>) -> (Self, Changes) {
        let mut listed: HashMap<&str, &Record> = listing
            .records
            .iter()
            .map(|record| (record.id(), record))
            .collect();
        let set_aside: HashSet<&str> = set_aside_ids(listing).collect();
        let mut merged = self.clone();
        let mut changes = Changes::default();

        for known in &mut merged.records {
            let Some(sent) = listed.remove(known.id()) else {
                let is_listed = set_aside.contains(known.id());
                if !is_listed && !merged.withdrawn.contains_key(known.id()) {
                    merged.withdrawn.insert(known.id().to_owned(), at);
                    changes.withdrawn.push(known.id().to_owned());
                }
                continue;
            };
            if merged.withdrawn.remove(known.id()).is_some() {
                changes.returned.push(known.id().to_owned());
            }
            if known != sent {
                changes.updated.push(Update {
                    id: known.id().to_owned(),
                    fields: changed_fields(known, sent),
                });
                merged.changed.insert(known.id().to_owned(), at);
                *known = sent.clone();
            }
        }
        for sent in &listing.records {
            if listed.contains_key(sent.id()) {
                changes.appended.push(sent.id().to_owned());
                merged.changed.insert(sent.id().to_owned(), at);
                merged.records.push(sent.clone());
            }
        }
        if !changes.is_empty() {
            merged.as_of = at;
        }
        (merged, changes)
    }

    /// Starts anew with the upstream's answer, in its order, and drops records that it lacks. Where
    /// the answer holds a known record in an unusable form, the record's last good form takes that
    /// place.
    #[must_use]
    pub fn begin_anew(&self, listing: &Listing, at: DateTime<Utc>) -> Self {
        let mut anew = Self::empty(Source::Upstream, at).merge(listing, at).0;
        let known: HashMap<&str, &Record> = self
            .records
            .iter()
            .map(|record| (record.id(), record))
            .collect();
        let mut taken: HashSet<&str> = listing.records.iter().map(Record::id).collect();
        let mut kept = Vec::new();
        for one in &listing.set_aside {
            let good = one.id.as_deref().and_then(|id| known.get(id));
            if let Some(good) = good.filter(|good| taken.insert(good.id())) {
                kept.push((one.place, Record::clone(good)));
                if let Some(at) = self.changed_at(good.id()) {
                    anew.changed.insert(good.id().to_owned(), at);
                }
            }
        }
        // An unusable record comes before the record at its place; the sort keeps this order.
        kept.extend(anew.records.into_iter().enumerate());
        kept.sort_by_key(|(place, _)| *place);
        anew.records = kept.into_iter().map(|(_, record)| record).collect();
        anew
    }

    /// Joins two copies that have diverged. This copy's records keep their places; records that
    /// only the other copy has follow in its order. Of two contents, the later one counts. A record
    /// is withdrawn unless a copy that knows it does not mark it. Data from the upstream has priority
    /// over built-in data.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self.source, other.source) {
            (Source::BuiltIn, Source::Upstream) => return other.clone(),
            (_, Source::BuiltIn) => return self.clone(),
            (Source::Upstream, Source::Upstream) => {}
        }
        let theirs: HashMap<&str, &Record> = other
            .records
            .iter()
            .map(|record| (record.id(), record))
            .collect();
        let mut joined = Self {
            as_of: self.as_of.max(other.as_of),
            etag: None,
            ..self.clone()
        };
        for known in &mut joined.records {
            let Some(their) = theirs.get(known.id()) else {
                continue;
            };
            if !other.withdrawn.contains_key(known.id()) {
                joined.withdrawn.remove(known.id());
            }
            if other.changed_at(known.id()) > self.changed_at(known.id()) {
                *known = (*their).clone();
                let (id, at) = (known.id(), other.changed[known.id()]);
                joined.changed.insert(id.to_owned(), at);
            }
        }
        let ours: HashSet<&str> = self.records.iter().map(Record::id).collect();
        for their in &other.records {
            let id = their.id();
            if ours.contains(id) {
                continue;
            }
            joined.records.push(their.clone());
            let mark = |from: &BTreeMap<_, _>, to: &mut BTreeMap<_, _>| {
                if let Some(at) = from.get(id) {
                    to.insert(id.to_owned(), *at);
                }
            };
            mark(&other.changed, &mut joined.changed);
            mark(&other.withdrawn, &mut joined.withdrawn);
        }
        joined
    }

    /// Removes the withdrawn records. Returns their ids.
    pub fn prune(&mut self, at: DateTime<Utc>) -> Vec<String> {
        self.records
            .retain(|record| !self.withdrawn.contains_key(record.id()));
        let pruned: Vec<_> = std::mem::take(&mut self.withdrawn).into_keys().collect();
        self.changed.retain(|id, _| !pruned.contains(id));
        if !pruned.is_empty() {
            self.as_of = at;
        }
        pruned
    }

    /// When a record got its current content.
    pub fn changed_at(&self, id: &str) -> Option<DateTime<Utc>> {
        self.changed.get(id).copied()
    }

    /// Whether an answer removes so much that a person should look first: everything, or more than
    /// one record and more than a fifth of those listed so far.
    pub fn suspicion(&self, listing: &Listing) -> Option<Suspicion> {
        let listed: HashSet<&str> = listing.records.iter().map(Record::id).collect();
        let mut suspicion = Suspicion {
            known: 0,
            gone: 0,
            set_aside: listing.set_aside.len(),
        };
        for known in &self.records {
            if !self.withdrawn.contains_key(known.id()) {
                suspicion.known += 1;
                suspicion.gone += usize::from(!listed.contains(known.id()));
            }
        }
        let emptied = listing.records.is_empty() && !self.records.is_empty();
        let decimated = suspicion.gone > 1 && suspicion.gone * 5 > suspicion.known;
        (emptied || decimated).then_some(suspicion)
    }
}

/// The ids of an answer's unusable records, where they can be read.
fn set_aside_ids(listing: &Listing) -> impl Iterator<Item = &str> {
    listing.set_aside.iter().filter_map(|one| one.id.as_deref())
}

fn changed_fields(known: &Record, sent: &Record) -> Vec<String> {
    let differs = |key: &&String| match (known.fields().get(*key), sent.fields().get(*key)) {
        (Some(before), Some(after)) => !same_bytes(before, after),
        _ => true,
    };
    let removed = known
        .fields()
        .keys()
        .filter(|key| !sent.fields().contains_key(*key));
    sent.fields()
        .keys()
        .filter(differs)
        .chain(removed)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
