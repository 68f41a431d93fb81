//! Snapshot and status in their stored form: JSON documents that begin with the version of their
//! format. Refuses newer formats and damage in words, and converts older formats.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Record;
use super::format1::Format1;
use super::snapshot::{FORMAT, LAST_GENERATION, Snapshot};
use super::status::{self, Status};

/// Why a stored document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer build.
    #[error("format {found} is newer than {known}, the newest that this build reads; update it")]
    NewerFormat {
        /// The document's format.
        found: u32,
        /// The newest that this build reads.
        known: u32,
    },
    /// Not a document of its format at all.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl Snapshot {
    /// Reads a stored document.
    ///
    /// # Errors
    /// [`Unreadable`]: from a newer build, or damaged. Also when an id occurs twice in a
    /// collection, or the generation is above [`LAST_GENERATION`], which no build writes.
    pub fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        let snapshot: Self = match format(json, FORMAT)? {
            1 => read::<Format1>(json)?.into(),
            _ => read(json)?,
        };
        let generation = snapshot.generation;
        if generation > LAST_GENERATION {
            return Err(Unreadable::Damaged(format!(
                "generation {generation} is above {LAST_GENERATION}, which none reaches"
            )));
        }
        for (collection, held) in snapshot.collections.iter() {
            let mut seen = HashSet::new();
            let mut ids = held.records.iter().map(Record::id);
            if let Some(id) = ids.find(|id| !seen.insert(*id)) {
                return Err(Unreadable::Damaged(format!(
                    "{collection} lists id {id} twice"
                )));
            }
        }
        Ok(snapshot)
    }

    /// The document in its stored form: JSON, indented, so that people can read it in place.
    pub fn to_json(&self) -> String {
        debug_assert_eq!(self.format, FORMAT);
        serde_json::to_string_pretty(self).expect("a snapshot is plain data")
    }
}

impl Status {
    /// Reads a stored document.
    ///
    /// # Errors
    /// [`Unreadable`]: from a newer build, or damaged.
    pub fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        format(json, status::FORMAT)?;
        read(json)
    }

    /// The document in its stored form.
    pub fn to_json(&self) -> String {
        debug_assert_eq!(self.format, status::FORMAT);
        serde_json::to_string_pretty(self).expect("a status is plain data")
    }
}

/// The version of a document's format.
fn format(json: &[u8], known: u32) -> Result<u32, Unreadable> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    match read(json)? {
        Head { format: 0 } => Err(Unreadable::Damaged(
            "format 0, which no build writes".into(),
        )),
        Head { format: found } if found > known => Err(Unreadable::NewerFormat { found, known }),
        Head { format } => Ok(format),
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(json).map_err(|error| Unreadable::Damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalogue::PerCollection;
    use crate::catalogue::lineage::Lineage;
    use crate::catalogue::snapshot::{Held, Source};

    /// As the build before format 2 wrote it.
    const FORMAT_1: &str = include_str!("format1.json");

    fn empty() -> Snapshot {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Snapshot {
            format: FORMAT,
            generation: 7,
            lineage: Lineage::default(),
            committed_at: at,
            upstream: "https://ghibliapi.example".into(),
            releases: vec![],
            collections: PerCollection::from_fn(|_| Held::empty(Source::Upstream, at)),
        }
    }

    #[test]
    fn the_generation_stands_in_the_first_bytes_where_the_commit_script_looks() {
        assert!(empty().to_json()[..64].contains("\"generation\": 7,"));
    }

    #[test]
    fn format_1_is_read_with_all_that_it_holds() {
        let snapshot = Snapshot::from_json(FORMAT_1.as_bytes()).unwrap();
        let mut expected: Value = serde_json::from_str(FORMAT_1).unwrap();
        expected["format"] = json!(2);
        for (_, held) in expected["collections"].as_object_mut().unwrap() {
            let Value::Object(known) = held["known"].take() else {
                panic!("format 1 has `known`");
            };
            let held = held.as_object_mut().unwrap();
            held.remove("known");
            held.extend(known);
        }
        assert_eq!(
            snapshot.to_json(),
            serde_json::to_string_pretty(&expected).unwrap()
        );
        assert_eq!(
            Snapshot::from_json(snapshot.to_json().as_bytes()),
            Ok(snapshot)
        );
    }

    #[test]
    fn a_newer_format_is_named_and_not_guessed_at() {
        let json = r#"{"format": 9, "everything": "else"}"#;
        let newer = |known| Unreadable::NewerFormat { found: 9, known };
        assert_eq!(Snapshot::from_json(json.as_bytes()), Err(newer(2)));
        assert_eq!(Status::from_json(json.as_bytes()), Err(newer(1)));
    }

    #[test]
    fn damage_is_distinguished_from_data() {
        let mut json = empty().to_json();
        assert_eq!(Snapshot::from_json(json.as_bytes()).unwrap(), empty());
        json.truncate(json.len() / 2);
        assert!(matches!(
            Snapshot::from_json(json.as_bytes()),
            Err(Unreadable::Damaged(_))
        ));
        let json = empty().to_json();
        let never = json.replacen("\"format\": 2", "\"format\": 0", 1);
        let error = Snapshot::from_json(never.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "damaged: format 0, which no build writes"
        );
        let mislabelled = FORMAT_1.replacen("\"format\": 1", "\"format\": 2", 1);
        let error = Snapshot::from_json(mislabelled.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("missing field `records`"));
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
