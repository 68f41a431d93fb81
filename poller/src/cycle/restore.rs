//! Restores a cache that has lost data which a poller remembers (sync rule 12). Pure.
//!
//! The cache may be empty, or hold an older copy, or a poller that did not know the lost data may
//! have started it anew. All data of both sides stays, and so does the release log.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use shared::catalogue::snapshot::{Release, Snapshot, Source};
use shared::catalogue::{Collection, PerCollection, Record};

/// Whether a cache has everything that a poller remembers.
pub fn knows(stored: Option<&Snapshot>, memory: Option<&Snapshot>) -> bool {
    memory
        .is_none_or(|memory| stored.is_some_and(|stored| stored.lineage.builds_on(&memory.lineage)))
}

/// Joins the remembered snapshot with what the cache has learnt since it lost that.
///
/// The result has no validators, so that the upstream sends everything again. It has a new
/// generation: readers, and pollers that remember more than this one, must not mistake the next
/// commits for older data.
pub fn restore(memory: &Snapshot, stored: Option<&Snapshot>, at: DateTime<Utc>) -> Restored {
    let news = stored.filter(|stored| !memory.lineage.builds_on(&stored.lineage));
    let mut restored = news.map_or_else(
        || Restored::as_it_was(memory),
        |news| Restored::joined(memory, news, at),
    );
    restored.snapshot = without_validators(restored.snapshot);
    let now = u64::try_from(at.timestamp()).unwrap_or_default();
    let generation = &mut restored.snapshot.generation;
    *generation = now.max(*generation + 1);
    restored
}

/// Removes the validators, so that the upstream sends everything again.
pub fn without_validators(mut snapshot: Snapshot) -> Snapshot {
    for collection in Collection::ALL {
        snapshot.collections[collection].etag = None;
    }
    snapshot
}

/// The data to restore a lost cache to.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// The snapshot to continue from.
    pub snapshot: Snapshot,
    /// The films in its release log that were never announced: the poller that added them could not
    /// know that they were new.
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
        snapshot.generation = memory.generation.max(news.generation);
        snapshot.committed_at = at;
        snapshot.collections = PerCollection::from_fn(|collection| {
            memory.collections[collection].join(&news.collections[collection])
        });
        let mut restored = Self {
            snapshot,
            unannounced: Vec::new(),
        };
        restored.go_on_with_the_log(memory, news, at);
        restored
    }

    /// Adds the other log's releases, and those that it should have, in the order of the films.
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
        let known: HashSet<&str> = mine.records.iter().map(Record::id).collect();
        for film in theirs.records.iter().filter(|_| are_comparable) {
            let id = film.id();
            if !known.contains(id) && !logged.contains(id) && !announced.contains(id) {
                added.push(Release {
                    sequence: 0,
                    id: id.to_owned(),
                    title: film.title().to_owned(),
                    first_seen: theirs.changed_at(id).unwrap_or(at),
                });
            }
        }
        let places: HashMap<&str, usize> = collections
            .films
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

#[cfg(test)]
mod tests;
