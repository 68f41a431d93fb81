//! The snapshot: everything the mirror knows, as one document that is immutable once committed.
//!
//! Owns the stored format. Does not know where it is stored ([`crate::cache`]) or how it was made
//! (the poller's sync).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::lineage::Lineage;
use crate::catalogue::{Collection, PerCollection, Record, Records};

/// The version of the format that this build writes, and the newest it can read.
pub const FORMAT: u32 = 1;

/// The largest generation that is read. The commit script uses floating-point numbers, so above it
/// there is no exact next number. At one commit a second it is 285 million years away.
pub const LAST_GENERATION: u64 = 1 << 53;

/// The largest snapshot that is read, in bytes: hundreds of times the upstream's whole database.
pub const MAX_BYTES: usize = 64 << 20;

/// Everything the mirror knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT`] at the time of writing.
    pub format: u32,
    /// Grows by one with each commit that changes content.
    ///
    /// A new cache starts at the Unix time in seconds instead of one, and a restored cache
    /// continues from there. So for a reader that was running when the cache was lost, the number
    /// never goes back and never means something else.
    // Second in the document, because the commit script reads it from the first bytes.
    pub generation: u64,
    /// The commits that it builds on, its own included.
    #[serde(default)]
    pub lineage: Lineage,
    /// When this generation was committed.
    pub committed_at: DateTime<Utc>,
    /// The base URL that the poller syncs with.
    pub upstream: String,
    /// The films that were new to the mirror after its baseline, oldest first.
    pub releases: Vec<Release>,
    /// What is known of each collection.
    pub collections: PerCollection<Held>,
}

/// One collection in the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Where the records came from.
    pub source: Source,
    /// When the upstream first sent the collection as it is here.
    pub as_of: DateTime<Utc>,
    /// The validator that the upstream sent with it, for `If-None-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The records and the marks on them.
    pub known: Records,
}

/// Where a collection's records came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Sent by the upstream.
    Upstream,
    /// From the catalogue that is compiled into the poller, because the upstream never answered.
    BuiltIn,
}

/// A film that the mirror had never seen before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Counts from one.
    pub sequence: u64,
    /// The film's id.
    pub id: String,
    /// The film's title when it was first seen.
    pub title: String,
    /// When the mirror first saw it.
    pub first_seen: DateTime<Utc>,
}

/// Why a stored document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer build.
    #[error("format {found} is newer than {known}, the newest that this build reads; update it")]
    NewerFormat {
        /// The document's format.
        found: u32,
        /// [`FORMAT`].
        known: u32,
    },
    /// Not a document of this format at all.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl Snapshot {
    /// The records of a collection, in the order in which they are served.
    pub fn records(&self, collection: Collection) -> &[Record] {
        &self.collections[collection].known.records
    }

    /// [`Source::BuiltIn`] while any collection is the built-in one.
    pub fn source(&self) -> Source {
        let built_in = self
            .collections
            .iter()
            .any(|(_, held)| held.source == Source::BuiltIn);
        if built_in {
            Source::BuiltIn
        } else {
            Source::Upstream
        }
    }

    /// Reads a stored document.
    ///
    /// # Errors
    /// [`Unreadable`]: from a newer build, or damaged. Also when an id occurs twice in a
    /// collection, or the generation is above [`LAST_GENERATION`], which no build writes.
    pub fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        let snapshot: Self = read(json)?;
        let generation = snapshot.generation;
        if generation > LAST_GENERATION {
            return Err(Unreadable::Damaged(format!(
                "generation {generation} is above {LAST_GENERATION}, which none reaches"
            )));
        }
        for (collection, held) in snapshot.collections.iter() {
            let mut seen = std::collections::HashSet::new();
            if let Some(twice) = held
                .known
                .records
                .iter()
                .find(|record| !seen.insert(record.id()))
            {
                let id = twice.id();
                return Err(Unreadable::Damaged(format!(
                    "{collection} lists id {id} twice"
                )));
            }
        }
        Ok(snapshot)
    }

    /// The document in its stored form: JSON, indented, so that people can read it in place.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a snapshot is plain data")
    }
}

/// Reads a versioned document, the version first.
pub(crate) fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
    let Head { format: found } = serde_json::from_slice(json).map_err(damaged)?;
    if found > FORMAT {
        return Err(Unreadable::NewerFormat {
            found,
            known: FORMAT,
        });
    }
    if found == 0 {
        return Err(Unreadable::Damaged(
            "format 0, which no build writes".into(),
        ));
    }
    serde_json::from_slice(json).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Snapshot {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Snapshot {
            format: FORMAT,
            generation: 7,
            lineage: Lineage::default(),
            committed_at: at,
            upstream: "https://ghibliapi.example".into(),
            releases: vec![],
            collections: PerCollection::from_fn(|_| Held {
                source: Source::Upstream,
                as_of: at,
                etag: None,
                known: Records::default(),
            }),
        }
    }

    #[test]
    fn the_generation_stands_in_the_first_bytes_where_the_commit_script_looks() {
        assert!(empty().to_json()[..64].contains("\"generation\": 7,"));
    }

    #[test]
    fn a_newer_format_is_named_and_not_guessed_at() {
        let json = r#"{"format": 9, "everything": "else"}"#;
        let error = Snapshot::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(
            error,
            Unreadable::NewerFormat {
                found: 9,
                known: FORMAT
            }
        );
    }

    #[test]
    fn damage_is_told_from_data() {
        let mut json = empty().to_json();
        assert_eq!(Snapshot::from_json(json.as_bytes()).unwrap(), empty());
        json.truncate(json.len() / 2);
        assert!(matches!(
            Snapshot::from_json(json.as_bytes()),
            Err(Unreadable::Damaged(_))
        ));
        let json = empty().to_json();
        let never = json.replacen("\"format\": 1", "\"format\": 0", 1);
        let error = Snapshot::from_json(never.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "damaged: format 0, which no build writes"
        );
        let beyond = json.replacen(": 7,", ": 18446744073709551615,", 1);
        let error = Snapshot::from_json(beyond.as_bytes()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("damaged: generation 18446744073709551615 is above")
        );
        let twice = r#""records": [{"id": "a"}, {"id": "a"}]"#;
        let json = empty().to_json().replacen(r#""records": []"#, twice, 1);
        let error = Snapshot::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "damaged: films lists id a twice");
    }
}
