//! What becomes of a cache that has lost what a poller remembers (sync rule 12). Pure.
//!
//! It may be empty, have fallen back to an older copy, or have been begun anew by a poller that
//! could not know. Whatever either side knows stays, and so does the release log.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use shared::catalogue::{Collection, PerCollection, Record};
use shared::snapshot::{Held, Release, Snapshot, Source};

/// Whether a cache has all that a poller remembers.
pub fn knows(stored: Option<&Snapshot>, memory: Option<&Snapshot>) -> bool {
    memory
        .is_none_or(|memory| stored.is_some_and(|stored| stored.lineage.builds_on(&memory.lineage)))
}

/// What to go on from: what is remembered, with what a cache that lost it has learnt since.
///
/// Has no validators, so that the upstream sends everything again, and a generation of its own:
/// readers, and pollers that remember more than this one, must not take what is committed from
/// here on for anything older.
pub fn restore(memory: &Snapshot, stored: Option<&Snapshot>, at: DateTime<Utc>) -> Restored {
    let news = stored.filter(|stored| !memory.lineage.builds_on(&stored.lineage));
    let mut restored = news.map_or_else(
        || Restored::as_it_was(memory),
        |news| Restored::joined(memory, news, at),
    );
    restored.snapshot = without_validators(restored.snapshot);
    let now = u64::try_from(at.timestamp()).unwrap_or_default();
    let generation = &mut restored.snapshot.generation;
    *generation = now.max(*generation);
    restored
}

/// Makes the upstream send everything again.
pub fn without_validators(mut snapshot: Snapshot) -> Snapshot {
    for collection in Collection::ALL {
        snapshot.collections[collection].etag = None;
    }
    snapshot
}

/// What a lost cache is restored to.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// What to go on from.
    pub snapshot: Snapshot,
    /// The films in its release log that nobody has announced: they were new, and whoever took
    /// them in could not know.
    pub unannounced: Vec<Release>,
}

impl Restored {
    fn as_it_was(memory: &Snapshot) -> Self {
        Self {
            snapshot: memory.clone(),
            unannounced: Vec::new(),
        }
    }

    fn joined(memory: &Snapshot, news: &Snapshot, at: DateTime<Utc>) -> Self {
        let mut snapshot = memory.clone();
        snapshot.lineage.join(&news.lineage);
        snapshot.generation = memory.generation.max(news.generation) + 1;
        snapshot.committed_at = at;
        snapshot.collections = PerCollection::from_fn(|collection| {
            joined(
                &memory.collections[collection],
                &news.collections[collection],
            )
        });
        let mut restored = Self {
            snapshot,
            unannounced: Vec::new(),
        };
        restored.go_on_with_the_log(memory, news, at);
        restored
    }

    /// Adds what the other log has, and what it ought to have, in the order of the films.
    fn go_on_with_the_log(&mut self, memory: &Snapshot, news: &Snapshot, at: DateTime<Utc>) {
        let Snapshot {
            releases,
            collections,
            ..
        } = &mut self.snapshot;
        let logged: HashSet<String> = releases.iter().map(|one| one.id.clone()).collect();
        let is_new = |release: &&Release| !logged.contains(&release.id);
        let mut added: Vec<_> = news.releases.iter().filter(is_new).cloned().collect();
        let announced: HashSet<String> = added.iter().map(|one| one.id.clone()).collect();

        let (mine, theirs) = (&memory.collections.films, &news.collections.films);
        let are_comparable = mine.source == Source::Upstream && theirs.source == Source::Upstream;
        let known: HashSet<&str> = mine.known.records.iter().map(Record::id).collect();
        for film in theirs.known.records.iter().filter(|_| are_comparable) {
            let id = film.id();
            if !known.contains(id) && !logged.contains(id) && !announced.contains(id) {
                added.push(Release {
                    sequence: 0,
                    id: id.to_owned(),
                    title: film.title().to_owned(),
                    first_seen: theirs.known.changed_at(id).unwrap_or(at),
                });
            }
        }
        let places: HashMap<&str, usize> = collections
            .films
            .known
            .records
            .iter()
            .enumerate()
            .map(|(place, film)| (film.id(), place))
            .collect();
        added.sort_by_key(|release| places.get(release.id.as_str()));
        for mut release in added {
            release.sequence = releases.len() as u64 + 1;
            if !announced.contains(&release.id) {
                self.unannounced.push(release.clone());
            }
            releases.push(release);
        }
    }
}

/// One collection of two snapshots that have gone apart. What the upstream sent counts for more than
/// what is built in.
fn joined(memory: &Held, news: &Held) -> Held {
    match (memory.source, news.source) {
        (Source::BuiltIn, Source::Upstream) => news.clone(),
        (_, Source::BuiltIn) => memory.clone(),
        (Source::Upstream, Source::Upstream) => Held {
            source: Source::Upstream,
            as_of: memory.as_of.max(news.as_of),
            etag: None,
            known: memory.known.join(&news.known),
        },
    }
}

#[cfg(test)]
mod tests;
