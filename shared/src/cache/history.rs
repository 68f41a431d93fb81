//! The past: the documents of the generations before the current one, the newest first, so that an
//! operator can go back. Owns its limits, and its form in a directory; `redis` owns the other form.
//!
//! The present matters more: what cannot be kept is left out, and never fails a commit.

use std::fs;
use std::path::Path;

use super::disk::{load, replace};
use super::{CacheError, snapshot_from};
use crate::catalogue::snapshot::Snapshot;
use crate::log;
use crate::service::telemetry::events;

/// How many earlier generations a cache keeps.
pub const MOST: usize = 10;

/// How many bytes they may take together; then fewer are kept. Ten of today's take 2 MB. Redis must
/// have room for this besides the snapshot.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// The directory in a file cache's directory; each file in it is `GENERATION.json`.
const DIRECTORY: &str = "history";

/// An earlier generation, as it was stored.
#[derive(Clone, Debug)]
pub struct Past(pub(super) Vec<u8>);

impl Past {
    /// A snapshot as a document.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self(snapshot.to_json().into_bytes())
    }

    /// Reads the document. Only then it takes the memory of a whole snapshot.
    ///
    /// # Errors
    /// [`CacheError::Unreadable`].
    pub fn read(&self) -> Result<Snapshot, CacheError> {
        snapshot_from(&self.0)
    }
}

/// Warns, once, when an earlier generation could not be kept. `reason` is that of the last commit.
pub(super) fn report(is_reported: &mut bool, reason: Option<&str>) {
    if let Some(reason) = reason
        && !*is_reported
    {
        log!(
            events::HISTORY_NOT_KEPT,
            reason,
            "committed, but could not keep the generation before for rollback: {reason}"
        );
    }
    *is_reported = reason.is_some();
}

/// Stores a document, and removes the oldest ones beyond the limits.
pub(super) fn keep(cache: &Path, generation: u64, json: &[u8]) -> Result<(), CacheError> {
    if json.len() > MOST_BYTES {
        return Ok(());
    }
    let directory = cache.join(DIRECTORY);
    fs::create_dir_all(&directory).map_err(|error| {
        CacheError::Unreachable(format!("cannot create {}: {error}", directory.display()))
    })?;
    replace(&directory, &name(generation), json)?;
    let mut together = 0;
    for (place, (generation, bytes)) in stored(&directory).into_iter().enumerate() {
        together += bytes;
        if place >= MOST || together > MOST_BYTES {
            let path = directory.join(name(generation));
            fs::remove_file(&path).map_err(|error| {
                CacheError::Unreachable(format!("cannot remove {}: {error}", path.display()))
            })?;
        }
    }
    Ok(())
}

/// The stored documents, the newest first.
pub(super) fn list(cache: &Path) -> Result<Vec<Past>, CacheError> {
    let directory = cache.join(DIRECTORY);
    let names = stored(&directory).into_iter().take(MOST);
    let documents = names.map(|(generation, _)| load(&directory, &name(generation)));
    let documents = documents.filter_map(Result::transpose);
    documents
        .map(|document| document.map(Past))
        .collect::<Result<_, _>>()
}

fn name(generation: u64) -> String {
    format!("{generation}.json")
}

/// The generations in the directory and their sizes, the newest first.
fn stored(directory: &Path) -> Vec<(u64, usize)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut stored: Vec<(u64, usize)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let generation = name.to_str()?.strip_suffix(".json")?.parse().ok()?;
            let bytes = usize::try_from(entry.metadata().ok()?.len()).ok()?;
            Some((generation, bytes))
        })
        .collect();
    stored.sort_unstable_by(|one, other| other.cmp(one));
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(cache: &Path) -> Vec<u64> {
        let stored = stored(&cache.join(DIRECTORY));
        stored.iter().map(|(generation, _)| *generation).collect()
    }

    #[test]
    fn ten_are_kept_and_fewer_if_they_are_large() {
        let cache = tempfile::tempdir().expect("a directory");
        assert_eq!(list(cache.path()).expect("an empty history").len(), 0);
        for generation in 1..=12 {
            keep(cache.path(), generation, b"{}").expect("room");
        }
        let kept: Vec<_> = (3..=12).rev().collect();
        assert_eq!(generations(cache.path()), kept);
        assert_eq!(list(cache.path()).expect("readable").len(), MOST);

        let large = vec![b' '; MOST_BYTES / 3];
        for generation in 13..=16 {
            keep(cache.path(), generation, &large).expect("room");
        }
        assert_eq!(generations(cache.path()), [16, 15, 14]);
        keep(cache.path(), 17, &vec![b' '; MOST_BYTES + 1]).expect("it is left out");
        assert_eq!(generations(cache.path()), [16, 15, 14]);
    }
}
