//! The page of one record, for people: its facts, and the records of other collections that belong
//! to it. `/movies/{id}` is a film's; `/movies/people/{id}` and its like are the others'.

use askama::Template;
use serde_json::{Map, Value, json};
use shared::catalogue::Collection;

use super::art::{Art, address};
use super::choice::Choice;
use super::{Site, known, name, path, score};
use crate::config::Posters;
use crate::render::{RenderedCatalogue, RenderedRecord, segment};

/// How much of a description search engines and previews show, in characters.
const LONGEST_SUMMARY: usize = 200;

#[derive(Template)]
#[template(path = "record.html")]
struct Page<'a> {
    site: &'a Site,
    is_film: bool,
    /// What the record is: `Film`.
    kind: &'static str,
    title: &'a str,
    year: Option<String>,
    original_title: Option<String>,
    romanised_title: Option<String>,
    description: Option<String>,
    summary: String,
    facts: Vec<Fact>,
    score: Option<u8>,
    is_withdrawn: bool,
    /// The address of this page, and of the record.
    url: String,
    record: String,
    groups: Vec<Group<'a>>,
    /// A film's wide picture.
    art: Option<Art<'a>>,
    /// The address of the picture for previews.
    preview: Option<&'a str>,
    /// The film as schema.org's `Movie`, in JSON-LD.
    linked_data: Option<String>,
}

struct Fact {
    name: &'static str,
    value: String,
    /// Where the value leads.
    href: Option<String>,
}

/// The records of one collection that belong to the record.
struct Group<'a> {
    heading: &'static str,
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    name: &'a str,
    about: String,
    path: String,
    /// A film's poster.
    art: Option<Art<'a>>,
}

/// Renders the page of a record of this collection.
pub(super) fn page<'a>(
    site: &'a Site,
    catalogue: &'a RenderedCatalogue,
    collection: Collection,
    record: &'a RenderedRecord,
) -> String {
    let fields = record.fields();
    let text = |field| known(fields, field);
    let title = name(record);
    let is_film = collection == Collection::Films;
    let description = text("description");
    let url = format!("{}{}", site.base, path(collection, record.id()));
    let preview = address(fields, "movie_banner").or(address(fields, "image"));
    let preview = preview.filter(|_| site.posters == Posters::On);
    let released = is_film.then(|| text("release_date")).flatten();
    let page = Page {
        site,
        is_film,
        kind: words(collection).0,
        title,
        year: released.and_then(|date| Some(date.get(..4)?.to_owned())),
        original_title: text("original_title").filter(|original| original != title),
        romanised_title: text("original_title_romanised"),
        summary: summary(description.as_deref().unwrap_or(title)),
        facts: facts(site, collection, fields),
        score: is_film.then(|| score(fields)).flatten(),
        is_withdrawn: site.is_withdrawn(collection, record.id()),
        record: format!("{}/{collection}/{}", site.base, segment(record.id())),
        groups: groups(site, catalogue, collection, record),
        art: is_film.then(|| Art::of(record.id(), fields, "movie_banner", site.posters)),
        linked_data: is_film.then(|| linked_data(fields, title, &url, preview)),
        preview,
        description,
        url,
    };
    page.render().expect("templates write to memory")
}

/// What one record of a collection is, and several.
fn words(collection: Collection) -> (&'static str, &'static str) {
    match collection {
        Collection::Films => ("Film", "Films"),
        Collection::People => ("Person", "People"),
        Collection::Locations => ("Place", "Places"),
        Collection::Species => ("Species", "Species"),
        Collection::Vehicles => ("Vehicle", "Vehicles"),
    }
}

/// The fields that a page shows as facts, with a unit after the value.
fn facts(site: &Site, collection: Collection, fields: &Map<String, Value>) -> Vec<Fact> {
    let rows: &[(&str, &str, &str)] = match collection {
        Collection::Films => &[
            ("director", "Director", ""),
            ("producer", "Producer", ""),
            ("release_date", "Released", ""),
            ("running_time", "Running time", " minutes"),
        ],
        Collection::People => &[
            ("gender", "Gender", ""),
            ("age", "Age", ""),
            ("eye_color", "Eyes", ""),
            ("hair_color", "Hair", ""),
        ],
        Collection::Locations => &[
            ("climate", "Climate", ""),
            ("terrain", "Terrain", ""),
            ("surface_water", "Surface water", " %"),
        ],
        Collection::Species => &[
            ("classification", "Classification", ""),
            ("eye_colors", "Eyes", ""),
            ("hair_colors", "Hair", ""),
        ],
        Collection::Vehicles => &[
            ("vehicle_class", "Class", ""),
            ("length", "Length", " feet"),
        ],
    };
    let fact = |(field, name, unit): &(&str, &'static str, &str)| {
        let value = shown(fields, field)?;
        let films = || Choice::default().of_director(&value).href(site.prefix());
        let is_number = value.ends_with(|last: char| last.is_ascii_digit());
        let unit = if is_number { unit } else { "" };
        Some(Fact {
            name,
            href: (*field == "director").then(films),
            value: format!("{value}{unit}"),
        })
    };
    rows.iter().filter_map(fact).collect()
}

/// A field as text; what is known of an age that is not specified: `Unspecified/Elderly`.
fn shown(fields: &Map<String, Value>, field: &str) -> Option<String> {
    let text = known(fields, field)?;
    Some(match text.strip_prefix("Unspecified/") {
        Some(known) => known.to_owned(),
        None => text,
    })
}

/// The records of the other collections that belong to this one.
fn groups<'a>(
    site: &Site,
    catalogue: &'a RenderedCatalogue,
    of: Collection,
    record: &RenderedRecord,
) -> Vec<Group<'a>> {
    let others = Collection::ALL.into_iter().filter(|other| *other != of);
    let groups = others.map(|other| {
        let related = catalogue.related(of, record.id(), other);
        Group {
            heading: words(other).1,
            members: related.map(|it| member(site, other, it)).collect(),
        }
    });
    groups.filter(|group| !group.members.is_empty()).collect()
}

fn member<'a>(site: &Site, collection: Collection, record: &'a RenderedRecord) -> Member<'a> {
    let fields: &[(&str, &str)] = match collection {
        Collection::Films => &[("release_date", ""), ("director", "")],
        Collection::People => &[
            ("age", "age "),
            ("gender", ""),
            ("eye_color", "eyes "),
            ("hair_color", "hair "),
        ],
        Collection::Locations => &[("climate", ""), ("terrain", "")],
        Collection::Vehicles => &[("vehicle_class", ""), ("description", "")],
        Collection::Species => &[("classification", "")],
    };
    let about = fields
        .iter()
        .filter_map(|(field, label)| Some(format!("{label}{}", shown(record.fields(), field)?)));
    let art = || Art::of(record.id(), record.fields(), "image", site.posters);
    Member {
        name: name(record),
        about: about.collect::<Vec<_>>().join(", "),
        path: path(collection, record.id()),
        art: (collection == Collection::Films).then(art),
    }
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
fn linked_data(
    fields: &Map<String, Value>,
    title: &str,
    url: &str,
    picture: Option<&str>,
) -> String {
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
    if let Some(picture) = picture {
        movie["image"] = picture.into();
    }
    movie.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::super::Pages;
    use super::super::tests::{catalogue, snapshot};
    use super::*;

    /// The page of the first record of a collection.
    fn page(records: &Value, collection: Collection) -> String {
        let snapshot = snapshot(records);
        let catalogue = catalogue(&snapshot);
        let base = "https://mirror.example/g".into();
        let pages = Pages::render(&snapshot, &catalogue, &base, Posters::On);
        assert!(pages.record(collection, "unknown", &catalogue).is_none());
        let id = catalogue.collections[collection].items[0].id();
        let body = pages.record(collection, id, &catalogue).unwrap();
        String::from_utf8(body.identity.bytes.to_vec()).unwrap()
    }

    fn laputa() -> Value {
        json!({
            "films": [{
                "id": "laputa", "title": "Castle in the Sky", "original_title": "天空の城ラピュタ",
                "original_title_romanised": "Tenkū no shiro Rapyuta", "description": "A girl falls.",
                "director": "Hayao Miyazaki", "producer": "TBA", "release_date": "1986",
                "running_time": "124", "rt_score": "95",
                "image": "javascript:alert(1)", "movie_banner": "https://pictures.example/b.jpg",
            }],
            "people": [{
                "id": "p", "name": "Pazu", "age": "13", "gender": "Male", "hair_color": "TODO",
                "films": ["https://ghibliapi.example/films/laputa"],
            }],
        })
    }

    #[test]
    fn a_film_shows_what_is_known_of_it() {
        insta::assert_snapshot!("film", page(&laputa(), Collection::Films));
    }

    #[test]
    fn a_person_leads_to_their_films() {
        insta::assert_snapshot!("person", page(&laputa(), Collection::People));
    }

    #[test]
    fn nothing_in_a_record_ends_the_script_or_an_attribute() {
        let text = "</script><script>alert(1)</script>\" onload=\"x";
        let film = json!({"id": "x", "title": text, "description": text, "image": text});
        let page = page(&json!({"films": [film]}), Collection::Films);
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
