//! The HTML for people: the films, and a page for each record.
//!
//! Pure. The template engine does all escaping. The templates isolate titles and names (`bdi`), so
//! that right-to-left text does not change the order of the text after it. No page contains
//! anything that changes between generations: the age of the data is in the header `Age`, and the
//! page's script shows it.

mod art;
mod choice;
mod error;
mod films;
mod record;
mod sitemap;

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use shared::catalogue::snapshot::{Snapshot, Source};
use shared::catalogue::{Collection, PerCollection};

use crate::config::{Posters, prefix};
use crate::events::Position;
use crate::render::{Body, HTML, RenderedCatalogue, RenderedRecord, segment};

pub(crate) use choice::Choice;
pub(crate) use error::error;
pub(crate) use sitemap::robots;

/// The only stylesheet.
pub const STYLE: &str = include_str!("../templates/style.css");

/// The only picture of this origin.
pub const ICON: &str = include_str!("../templates/icon.svg");

/// Shows how old the data is.
const AGE: &str = include_str!("../templates/age.js");

/// Searches while a person types.
const SEARCH: &str = include_str!("../templates/search.js");

/// All scripts. The pages' policy allows each by its hash.
pub(crate) const SCRIPTS: [&str; 3] = [AGE, SEARCH, crate::reference::SCRIPT];

/// The pages of one generation.
#[derive(Debug)]
pub struct Pages {
    /// `/movies`.
    pub table: Body,
    /// `/movies?view=cards`.
    pub cards: Body,
    /// `/sitemap.xml`.
    pub sitemap: Body,
    site: Arc<Site>,
    /// Each record's page, from when somebody first asks for it.
    records: Arc<PerCollection<Vec<OnceLock<Box<Body>>>>>,
}

/// What all pages of a generation show or need.
#[derive(Debug)]
struct Site {
    base: Arc<str>,
    posters: Posters,
    upstream: String,
    is_built_in: bool,
    generation: u64,
    /// When the generation was committed, for machines (RFC 3339).
    committed_at: String,
    /// The same for people.
    committed_on: String,
    /// The newest release, after which a page's script asks for events.
    last: Position,
    /// The ids of the records that the upstream no longer lists.
    withdrawn: PerCollection<Vec<String>>,
}

impl Site {
    fn of(snapshot: &Snapshot, base: &Arc<str>, posters: Posters) -> Self {
        Self {
            base: base.clone(),
            posters,
            upstream: snapshot.upstream.clone(),
            is_built_in: snapshot.source() == Source::BuiltIn,
            generation: snapshot.generation,
            committed_at: machine_time(snapshot.committed_at),
            committed_on: reading_time(snapshot.committed_at),
            last: Position::newest(snapshot),
            withdrawn: PerCollection::from_fn(|collection| {
                let withdrawn = &snapshot.collections[collection].withdrawn;
                withdrawn.keys().cloned().collect()
            }),
        }
    }

    /// The prefix of every path.
    fn prefix(&self) -> &str {
        prefix(&self.base)
    }

    fn is_withdrawn(&self, collection: Collection, id: &str) -> bool {
        let ids = &self.withdrawn[collection];
        ids.binary_search_by(|one| one.as_str().cmp(id)).is_ok()
    }
}

impl Pages {
    /// Renders what most people ask for, of a mirror that clients know under `base`.
    pub fn render(
        snapshot: &Snapshot,
        catalogue: &RenderedCatalogue,
        base: &Arc<str>,
        posters: Posters,
    ) -> Self {
        let site = Site::of(snapshot, base, posters);
        let films = |choice| Body::uncompressed(HTML, films::page(&site, catalogue, &choice));
        let records = PerCollection::from_fn(|collection| {
            let items = catalogue.collections[collection].items.iter();
            items.map(|_| OnceLock::new()).collect()
        });
        Self {
            table: films(Choice::default()),
            cards: films(Choice::cards()),
            sitemap: sitemap::sitemap(base, catalogue),
            site: Arc::new(site),
            records: Arc::new(records),
        }
    }

    /// The same pages with those that are rendered compressed.
    #[must_use]
    pub fn compressed(&self) -> Self {
        Self {
            table: self.table.clone().compressed(),
            cards: self.cards.clone().compressed(),
            sitemap: self.sitemap.clone().compressed(),
            site: self.site.clone(),
            records: self.records.clone(),
        }
    }

    /// The films that a person chose; `catalogue` is that of these pages.
    pub(crate) fn films(&self, choice: &Choice, catalogue: &RenderedCatalogue) -> Body {
        if *choice == Choice::default() {
            self.table.clone()
        } else if *choice == Choice::cards() {
            self.cards.clone()
        } else {
            Body::new(HTML, films::page(&self.site, catalogue, choice))
        }
    }

    /// The page of a record of this catalogue; `None` if there is no such record.
    pub fn record(
        &self,
        collection: Collection,
        id: &str,
        catalogue: &RenderedCatalogue,
    ) -> Option<&Body> {
        let records = &catalogue.collections[collection];
        let position = records.position(id)?;
        let page = self.records[collection].get(position)?;
        let record = &records.items[position];
        let render = || record::page(&self.site, catalogue, collection, record);
        Some(page.get_or_init(|| Box::new(Body::new(HTML, render()))))
    }
}

/// The path of a record's page, without the prefix.
fn path(collection: Collection, id: &str) -> String {
    match collection {
        Collection::Films => format!("/movies/{}", segment(id)),
        other => format!("/movies/{other}/{}", segment(id)),
    }
}

/// A record's name for people.
fn name(record: &RenderedRecord) -> &str {
    let text = |field: &str| record.fields().get(field).and_then(Value::as_str);
    text("title").or(text("name")).unwrap_or(record.id())
}

/// A moment for machines (RFC 3339).
fn machine_time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A moment for people.
fn reading_time(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The year of a film's release.
fn year(fields: &Map<String, Value>) -> Option<u32> {
    known(fields, "release_date")?.get(..4)?.parse().ok()
}

/// A film's score, if it is one from 0 to 100.
fn score(fields: &Map<String, Value>) -> Option<u8> {
    let score = known(fields, "rt_score")?.parse().ok();
    score.filter(|score| *score <= 100)
}

/// A field as text, unless its value means "unknown".
fn known(fields: &Map<String, Value>, field: &str) -> Option<String> {
    const UNKNOWN: [&str; 7] = ["", "NA", "N/A", "TBA", "TODO", "Unknown", "Unspecified"];
    let text = match fields.get(field)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null | Value::Bool(_) | Value::Object(_) => return None,
    };
    (!UNKNOWN
        .iter()
        .any(|unknown| unknown.eq_ignore_ascii_case(&text)))
    .then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::Links;

    /// A snapshot of these records.
    pub(super) fn snapshot(records: &Value) -> Snapshot {
        let mut document = json!({
            "format": 2, "generation": 7, "committed_at": "2026-11-26T00:00:00Z",
            "upstream": "https://ghibliapi.example", "releases": [], "collections": {},
        });
        for collection in Collection::ALL {
            let records = records.get(collection.name()).cloned().unwrap_or(json!([]));
            document["collections"][collection.name()] =
                json!({"source": "upstream", "as_of": "2026-11-25T00:00:00Z", "records": records});
        }
        Snapshot::from_json(document.to_string().as_bytes()).expect("a snapshot")
    }

    pub(super) fn catalogue(snapshot: &Snapshot) -> RenderedCatalogue {
        let mut snapshot = snapshot.clone();
        Links::To("https://mirror.example/g".into()).rewrite(&mut snapshot);
        RenderedCatalogue::render(&snapshot, None)
    }

    #[test]
    fn the_sitemap_has_every_page() {
        let snapshot = snapshot(&json!({
            "films": [{"id": "a&b", "title": "x"}], "species": [{"id": "7", "name": "y"}],
        }));
        let base = "https://mirror.example/g".into();
        let pages = Pages::render(&snapshot, &catalogue(&snapshot), &base, Posters::On);
        let xml = String::from_utf8(pages.sitemap.identity.bytes.to_vec()).unwrap();
        for path in ["/movies", "/movies/a%26b", "/movies/species/7"] {
            assert!(xml.contains(&format!("<loc>{base}{path}</loc>")), "{xml}");
        }
    }
}
