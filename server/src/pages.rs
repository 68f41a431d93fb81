//! The HTML for people: the films with their people, newest first.
//!
//! Pure. The template engine does all escaping. The template isolates titles and names (`bdi`), so
//! that right-to-left text does not change the order of the text after it.

mod film;

use askama::Template;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use shared::catalogue::snapshot::{Snapshot, Source};
use shared::catalogue::{Collection, Record};

use crate::render::{RenderedCatalogue, segment};

pub use film::FilmPages;

/// The only stylesheet.
pub const STYLE: &str = include_str!("../templates/style.css");

/// The only picture.
pub const ICON: &str = include_str!("../templates/icon.svg");

/// The only script: it shows how old the data is. The page's policy allows it by its hash.
pub(crate) const SCRIPT: &str = include_str!("../templates/age.js");

#[derive(Template)]
#[template(path = "movies.html")]
struct Movies<'a> {
    /// The prefix of every path.
    prefix: &'a str,
    films: Vec<Film<'a>>,
    built_in: bool,
    upstream: &'a str,
    generation: u64,
    /// When the generation was committed, for machines (RFC 3339).
    committed_at: String,
    /// The same for people.
    committed_on: String,
    script: &'static str,
}

struct Film<'a> {
    /// The id, as a segment of a path.
    segment: String,
    title: &'a str,
    original_title: Option<&'a str>,
    year: Option<String>,
    score: Option<String>,
    producer: Option<String>,
    director: Option<String>,
    people: Vec<Person<'a>>,
    withdrawn: bool,
}

struct Person<'a> {
    name: &'a str,
    /// What is known about the person, shown after the name.
    about: String,
}

/// Renders `/movies` for a snapshot and what is rendered of it, of a mirror whose paths begin with `prefix`.
///
/// The page contains nothing that changes between generations. The age of the data is in the
/// header `Age`; the page's script shows it.
pub fn movies(snapshot: &Snapshot, rendered: &RenderedCatalogue, prefix: &str) -> String {
    let committed_at = snapshot.committed_at;
    let page = Movies {
        prefix,
        films: films_newest_first(snapshot, rendered),
        built_in: snapshot.source() == Source::BuiltIn,
        upstream: &snapshot.upstream,
        generation: snapshot.generation,
        committed_at: machine_time(committed_at),
        committed_on: reading_time(committed_at),
        script: SCRIPT,
    };
    page.render().expect("templates write to memory")
}

fn films_newest_first<'a>(snapshot: &'a Snapshot, rendered: &RenderedCatalogue) -> Vec<Film<'a>> {
    let withdrawn = &snapshot.collections.films.withdrawn;
    let mut films: Vec<_> = snapshot
        .records(Collection::Films)
        .iter()
        .enumerate()
        .collect();
    // A film without a year is new in the catalogue and not released yet.
    films.sort_by_key(|(position, film)| (year(film).unwrap_or(u32::MAX), *position));
    let film = |film: &'a Record| Film {
        segment: segment(film.id()),
        title: film.title(),
        original_title: film
            .text("original_title")
            .filter(|title| *title != film.title()),
        year: known(film.fields(), "release_date"),
        score: known(film.fields(), "rt_score"),
        producer: known(film.fields(), "producer"),
        director: known(film.fields(), "director"),
        people: people_of(snapshot, rendered, film.id()),
        withdrawn: withdrawn.contains_key(film.id()),
    };
    films
        .into_iter()
        .rev()
        .map(|(_, record)| film(record))
        .collect()
}

fn people_of<'a>(
    snapshot: &'a Snapshot,
    rendered: &RenderedCatalogue,
    film: &str,
) -> Vec<Person<'a>> {
    let people = snapshot.records(Collection::People);
    let positions = rendered.positions_of_related(Collection::Films, film, Collection::People);
    positions
        .map(|position| person(&people[position]))
        .collect()
}

/// A moment for machines (RFC 3339).
fn machine_time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A moment for people.
fn reading_time(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn year(film: &Record) -> Option<u32> {
    known(film.fields(), "release_date")?.get(..4)?.parse().ok()
}

/// `Pazu (age 13) with Black eyes, Brown hair`; unknown parts are left out.
fn person(person: &Record) -> Person<'_> {
    let age = known(person.fields(), "age").map(|age| {
        let age = age.strip_prefix("Unspecified/").unwrap_or(&age);
        let is_number = age.starts_with(|first: char| first.is_ascii_digit());
        if is_number {
            format!(" (age {age})")
        } else {
            format!(" ({age})")
        }
    });
    let features = [("eye_color", "eyes"), ("hair_color", "hair")]
        .into_iter()
        .filter_map(
            |(field, feature)| match known(person.fields(), field)?.as_str() {
                "None" => Some(format!("no {feature}")),
                color => Some(format!("{color} {feature}")),
            },
        );
    let features = features.collect::<Vec<_>>().join(", ");
    let with = if features.is_empty() { "" } else { " with " };
    Person {
        name: person.title(),
        about: format!("{}{with}{features}", age.unwrap_or_default()),
    }
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

    fn record(value: Value) -> Record {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_person_is_described_as_far_as_known() {
        for (fields, line) in [
            (
                json!({"id": 1, "name": "Pazu", "age": "13", "eye_color": "Black", "hair_color": "Brown"}),
                "Pazu (age 13) with Black eyes, Brown hair",
            ),
            (
                json!({"id": 1, "name": "Jiji", "age": "NA", "eye_color": "Black", "hair_color": ""}),
                "Jiji with Black eyes",
            ),
            (json!({"id": 1, "name": "Totoro", "age": ""}), "Totoro"),
            (
                json!({"id": 1, "name": "Pom", "age": "Unspecified/Elderly", "hair_color": "None"}),
                "Pom (Elderly) with no hair",
            ),
            (
                json!({"id": 1, "name": "Ashitaka", "age": "late teens"}),
                "Ashitaka (late teens)",
            ),
            (json!({"id": 1, "age": 7, "eye_color": null}), "1 (age 7)"),
        ] {
            let record = record(fields);
            let Person { name, about } = person(&record);
            assert_eq!(format!("{name}{about}"), line);
        }
    }
}
