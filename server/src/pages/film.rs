//! `/movies/{id}`: one film, for people: its facts, and the people, places, species and vehicles in
//! it.
//!
//! A page is rendered when somebody first asks for it, once per generation.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use askama::Template;
use serde_json::{Map, Value, json};
use shared::catalogue::Collection;
use shared::catalogue::snapshot::Snapshot;

use super::known;
use crate::config::prefix;
use crate::render::{Body, HTML, RenderedCatalogue, RenderedRecord, segment};

/// How much of a description search engines and previews show, in characters.
const LONGEST_SUMMARY: usize = 200;

/// The pages of one generation's films.
#[derive(Debug)]
pub struct FilmPages {
    base: Arc<str>,
    upstream: String,
    committed_at: String,
    committed_on: String,
    withdrawn: BTreeSet<String>,
    pages: HashMap<Arc<str>, OnceLock<Body>>,
}

#[derive(Template)]
#[template(path = "film.html")]
struct Page<'a> {
    prefix: &'a str,
    generation: u64,
    of: &'a FilmPages,
    film: Film<'a>,
}

struct Film<'a> {
    title: &'a str,
    year: Option<String>,
    original_title: Option<String>,
    romanised_title: Option<String>,
    description: Option<String>,
    summary: String,
    /// Names and values.
    facts: Vec<(&'static str, String)>,
    /// From 0 to 100.
    score: Option<u8>,
    is_withdrawn: bool,
    /// The address of this page, and of the record.
    url: String,
    record: String,
    groups: Vec<Group<'a>>,
    /// The film as schema.org's `Movie`, in JSON-LD.
    linked_data: String,
}

/// The records of one collection that belong to the film.
struct Group<'a> {
    heading: &'static str,
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    name: &'a str,
    about: String,
    record: String,
}

impl FilmPages {
    /// The pages of a snapshot's films, on a mirror that clients know under `base`.
    pub fn new(snapshot: &Snapshot, catalogue: &RenderedCatalogue, base: &Arc<str>) -> Self {
        let films = &catalogue.collections.films.items;
        let withdrawn = &snapshot.collections.films.withdrawn;
        Self {
            base: base.clone(),
            upstream: snapshot.upstream.clone(),
            committed_at: super::machine_time(snapshot.committed_at),
            committed_on: super::reading_time(snapshot.committed_at),
            withdrawn: withdrawn.keys().cloned().collect(),
            pages: films
                .iter()
                .map(|film| (film.id.clone(), OnceLock::new()))
                .collect(),
        }
    }

    /// The page of a film of this catalogue; `None` if there is no such film.
    pub fn page(&self, id: &str, catalogue: &RenderedCatalogue) -> Option<&Body> {
        let film = catalogue.collections.films.item(id)?;
        let page = self.pages.get(id)?;
        Some(page.get_or_init(|| Body::new(HTML, self.render(film, catalogue))))
    }

    fn render(&self, film: &RenderedRecord, catalogue: &RenderedCatalogue) -> String {
        let page = Page {
            prefix: prefix(&self.base),
            generation: catalogue.generation,
            film: self.film(film, catalogue),
            of: self,
        };
        page.render().expect("templates write to memory")
    }

    fn film<'a>(&self, film: &'a RenderedRecord, catalogue: &'a RenderedCatalogue) -> Film<'a> {
        let fields = &film.fields;
        let text = |field| known(fields, field);
        let title = name(film);
        let year = text("release_date").and_then(|date| Some(date.get(..4)?.to_owned()));
        let minutes = text("running_time").map(|minutes| format!("{minutes} minutes"));
        let description = text("description");
        let facts = [
            ("Director", text("director")),
            ("Producer", text("producer")),
            ("Released", text("release_date")),
            ("Running time", minutes),
        ];
        let url = format!("{}/movies/{}", self.base, segment(&film.id));
        let groups = [
            (Collection::People, "People"),
            (Collection::Locations, "Places"),
            (Collection::Species, "Species"),
            (Collection::Vehicles, "Vehicles"),
        ];
        let groups = groups.into_iter().map(|(collection, heading)| {
            let related = catalogue.related(Collection::Films, &film.id, collection);
            let members = related.map(|record| member(collection, record, &self.base));
            let members = members.collect();
            Group { heading, members }
        });
        Film {
            title,
            original_title: text("original_title").filter(|original| original != title),
            romanised_title: text("original_title_romanised"),
            summary: summary(description.as_deref().unwrap_or(title)),
            facts: facts
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            score: text("rt_score")
                .and_then(|score| score.parse().ok())
                .filter(|score| *score <= 100),
            is_withdrawn: self.withdrawn.contains(&*film.id),
            record: format!("{}/films/{}", self.base, segment(&film.id)),
            groups: groups.filter(|group| !group.members.is_empty()).collect(),
            linked_data: linked_data(fields, title, &url),
            year,
            description,
            url,
        }
    }
}

fn member<'a>(collection: Collection, record: &'a RenderedRecord, base: &str) -> Member<'a> {
    let fields: &[(&str, &str)] = match collection {
        Collection::People => &[
            ("age", "age "),
            ("gender", ""),
            ("eye_color", "eyes "),
            ("hair_color", "hair "),
        ],
        Collection::Locations => &[("climate", ""), ("terrain", "")],
        Collection::Vehicles => &[("vehicle_class", ""), ("description", "")],
        Collection::Species | Collection::Films => &[("classification", "")],
    };
    let about = fields
        .iter()
        .filter_map(|(field, label)| Some(format!("{label}{}", known(&record.fields, field)?)));
    Member {
        name: name(record),
        about: about.collect::<Vec<_>>().join(", "),
        record: format!("{base}/{collection}/{}", segment(&record.id)),
    }
}

/// A record's name for people.
fn name(record: &RenderedRecord) -> &str {
    let text = |field: &str| record.fields.get(field).and_then(Value::as_str);
    text("title").or(text("name")).unwrap_or(&record.id)
}

/// The first words of a text.
fn summary(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SUMMARY) {
        None => text.to_owned(),
        Some((end, _)) => {
            let cut = &text[..end];
            let words = cut.rsplit_once(' ').map_or(cut, |(words, _)| words);
            format!("{words}…")
        }
    }
}

/// <https://schema.org/Movie>, safe inside a script element.
fn linked_data(fields: &Map<String, Value>, title: &str, url: &str) -> String {
    let mut movie = json!({
        "@context": "https://schema.org",
        "@type": "Movie",
        "name": title,
        "url": url,
    });
    for (property, field) in [
        ("alternateName", "original_title"),
        ("description", "description"),
        ("dateCreated", "release_date"),
    ] {
        if let Some(value) = known(fields, field) {
            movie[property] = value.into();
        }
    }
    for (property, field) in [("director", "director"), ("producer", "producer")] {
        if let Some(name) = known(fields, field) {
            movie[property] = json!({"@type": "Person", "name": name});
        }
    }
    if let Some(minutes) = known(fields, "running_time").filter(|text| text.parse::<u32>().is_ok())
    {
        movie["duration"] = format!("PT{minutes}M").into();
    }
    movie.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Links;

    fn page(film: &Value) -> String {
        let mut document = json!({
            "format": 2, "generation": 7, "committed_at": "2026-11-26T00:00:00Z",
            "upstream": "https://ghibliapi.example", "releases": [], "collections": {},
        });
        for collection in Collection::ALL {
            document["collections"][collection.name()] =
                json!({"source": "upstream", "as_of": "2026-11-25T00:00:00Z", "records": []});
        }
        document["collections"]["films"]["records"] = json!([film]);
        document["collections"]["people"]["records"] = json!([
            {"id": "p", "name": "Pazu", "age": "13", "gender": "Male", "hair_color": "TODO",
             "films": [format!("https://ghibliapi.example/films/{}", film["id"].as_str().unwrap())]}
        ]);
        let snapshot = Snapshot::from_json(document.to_string().as_bytes()).expect("a snapshot");
        let links = Links::To("https://mirror.example/g".into());
        let catalogue = RenderedCatalogue::render(&snapshot, &links, None);
        let pages = FilmPages::new(&snapshot, &catalogue, &"https://mirror.example/g".into());
        assert!(pages.page("unknown", &catalogue).is_none());
        let body = pages
            .page(film["id"].as_str().unwrap(), &catalogue)
            .unwrap();
        String::from_utf8(body.identity.bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_film_shows_what_is_known_of_it() {
        let film = json!({
            "id": "laputa", "title": "Castle in the Sky", "original_title": "天空の城ラピュタ",
            "original_title_romanised": "Tenkū no shiro Rapyuta", "description": "A girl falls.",
            "director": "Hayao Miyazaki", "producer": "TBA", "release_date": "1986",
            "running_time": "124", "rt_score": "95",
        });
        insta::assert_snapshot!("film", page(&film));
    }

    #[test]
    fn nothing_in_a_record_ends_the_script_or_an_attribute() {
        let text = "</script><script>alert(1)</script>\" onload=\"x";
        let page = page(&json!({"id": "x", "title": text, "description": text}));
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert_eq!(page.matches("</script").count(), 1, "{page}");
        let (before, linked_data) = page.split_once("<script").unwrap();
        let (_, after) = linked_data.split_once("</script").unwrap();
        assert!(![before, after].concat().contains("\" onload"), "{page}");
    }

    #[test]
    fn a_summary_ends_with_a_word() {
        assert_eq!(summary("short"), "short");
        let long = summary(&"words ".repeat(50));
        assert!(long.ends_with("words…") && long.chars().count() <= LONGEST_SUMMARY + 1);
    }
}
