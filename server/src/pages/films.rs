//! `/movies`: the films as a table or as cards, or those of them that a person chose.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use askama::Template;
use serde_json::Value;
use shared::catalogue::Collection;

use super::art::Art;
use super::choice::{Choice, Look, Sort};
use super::{AGE, SEARCH, Site, known, name, path, score, year};
use crate::render::{RenderedCatalogue, RenderedRecord};

#[derive(Template)]
#[template(path = "movies.html")]
struct Page<'a> {
    site: &'a Site,
    choice: &'a Choice,
    /// Whether the catalogue has films at all.
    has_films: bool,
    films: Vec<Film<'a>>,
    directors: BTreeSet<String>,
    /// The first years of the decades, the last first.
    decades: Vec<u32>,
    scripts: [&'static str; 2],
}

struct Film<'a> {
    path: String,
    title: &'a str,
    original_title: Option<&'a str>,
    romanised_title: Option<String>,
    /// The date of release, as the upstream has it.
    released: Option<String>,
    score: Option<String>,
    /// The score as a bar shows it.
    points: Option<u8>,
    producer: Option<String>,
    director: Option<String>,
    minutes: Option<String>,
    people: Vec<Person<'a>>,
    withdrawn: bool,
    art: Art<'a>,
}

struct Person<'a> {
    name: &'a str,
    /// What is known about the person, shown after the name.
    about: String,
}

impl Page<'_> {
    fn is_cards(&self) -> bool {
        self.choice.look == Look::Cards
    }

    fn table_href(&self) -> String {
        self.choice.in_look(Look::Table).href(self.site.prefix())
    }

    fn cards_href(&self) -> String {
        self.choice.in_look(Look::Cards).href(self.site.prefix())
    }

    /// The address of all films in the same look.
    fn all_href(&self) -> String {
        let all = Choice::default().in_look(self.choice.look);
        all.href(self.site.prefix())
    }

    fn director_href(&self, director: &str) -> String {
        self.choice.of_director(director).href(self.site.prefix())
    }

    fn sort_href(&self, sort: Sort) -> String {
        self.choice.by(sort).href(self.site.prefix())
    }

    fn reversed_href(&self) -> String {
        self.sort_href(self.choice.sort)
    }

    /// The value of `aria-sort`, where the films are sorted by this.
    fn aria_sort(&self, sort: Sort) -> Option<&'static str> {
        let order = if self.choice.descends() {
            "descending"
        } else {
            "ascending"
        };
        (self.choice.sort == sort).then_some(order)
    }

    fn order(&self) -> &'static str {
        self.choice.sort.words(self.choice.descends())
    }

    fn reversed_order(&self) -> &'static str {
        self.choice.sort.words(!self.choice.descends())
    }

    fn sorts(&self) -> [(Sort, &'static str, bool); 3] {
        Sort::ALL.map(|sort| {
            let words = sort.words(sort.is_descending());
            (sort, words, sort == self.choice.sort)
        })
    }
}

/// Renders the films that a person chose.
pub(super) fn page(site: &Site, catalogue: &RenderedCatalogue, choice: &Choice) -> String {
    let films: Vec<_> = newest_first(catalogue);
    let text = |film: &RenderedRecord, field| known(film.fields(), field);
    let directors: BTreeSet<_> = films.iter().filter_map(|it| text(it, "director")).collect();
    let decades: BTreeSet<_> = films.iter().filter_map(|it| decade(it)).collect();
    let has_films = !films.is_empty();
    let words: Vec<_> = choice
        .search
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut films: Vec<_> = films
        .into_iter()
        .filter(|film| choice.decade.is_none() || decade(film) == choice.decade)
        .filter(|film| {
            let director = text(film, "director");
            choice.director.is_empty() || director.is_some_and(|it| is_same(&it, &choice.director))
        })
        .map(|record| film(site, catalogue, record))
        .filter(|film| has_words(film, &words))
        .collect();
    sort(&mut films, choice);
    let page = Page {
        site,
        choice,
        has_films,
        films,
        directors,
        decades: decades.into_iter().rev().collect(),
        scripts: [AGE, SEARCH],
    };
    page.render().expect("templates write to memory")
}

/// A film without a year is new in the catalogue and not released yet; of equal films, the last
/// comes first.
fn newest_first(catalogue: &RenderedCatalogue) -> Vec<&RenderedRecord> {
    let mut films: Vec<_> = catalogue.collections.films.items.iter().rev().collect();
    films.sort_by_key(|film| Reverse(year(film.fields()).unwrap_or(u32::MAX)));
    films
}

/// The films come newest first.
fn sort(films: &mut [Film<'_>], choice: &Choice) {
    match (choice.sort, choice.descends()) {
        (Sort::Year, true) => {}
        (Sort::Year, false) => films.reverse(),
        (Sort::Title, false) => films.sort_by_cached_key(|film| film.title.to_lowercase()),
        (Sort::Title, true) => films.sort_by_cached_key(|film| Reverse(film.title.to_lowercase())),
        // A film without a score comes last.
        (Sort::Score, true) => films.sort_by_key(|film| Reverse(film.points)),
        (Sort::Score, false) => films.sort_by_key(|film| film.points.unwrap_or(u8::MAX)),
    }
}

fn decade(film: &RenderedRecord) -> Option<u32> {
    year(film.fields()).map(|year| year - year % 10)
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Whether every word occurs in a title, the director's or a person's name.
fn has_words(film: &Film<'_>, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let titles = [
        Some(film.title),
        film.original_title,
        film.romanised_title.as_deref(),
        film.director.as_deref(),
    ];
    let people = film.people.iter().map(|person| person.name);
    let texts: Vec<_> = titles
        .into_iter()
        .flatten()
        .chain(people)
        .map(str::to_lowercase)
        .collect();
    words
        .iter()
        .all(|word| texts.iter().any(|text| text.contains(word)))
}

fn film<'a>(site: &Site, catalogue: &'a RenderedCatalogue, record: &'a RenderedRecord) -> Film<'a> {
    let fields = record.fields();
    let text = |field| known(fields, field);
    let title = name(record);
    let original = fields.get("original_title").and_then(Value::as_str);
    let people = catalogue.related(Collection::Films, record.id(), Collection::People);
    Film {
        path: path(Collection::Films, record.id()),
        title,
        original_title: original.filter(|original| *original != title),
        romanised_title: text("original_title_romanised").filter(|it| it != title),
        released: text("release_date"),
        score: text("rt_score"),
        points: score(fields),
        producer: text("producer"),
        director: text("director"),
        minutes: text("running_time"),
        people: people.map(person).collect(),
        withdrawn: site.is_withdrawn(Collection::Films, record.id()),
        art: Art::of(record.id(), fields, "image", site.posters),
    }
}

/// `Pazu (age 13) with Black eyes, Brown hair`; unknown parts are left out.
fn person(person: &RenderedRecord) -> Person<'_> {
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
        name: name(person),
        about: format!("{}{with}{features}", age.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{catalogue, snapshot};
    use super::*;
    use crate::config::Posters;

    fn films() -> Value {
        let link = |id: &str| format!("https://ghibliapi.example/films/{id}");
        json!({
            "films": [
                {"id": "laputa", "title": "Castle in the Sky", "original_title": "天空の城ラピュタ",
                 "original_title_romanised": "Tenkū no shiro Rapyuta", "director": "Hayao Miyazaki",
                 "release_date": "1986", "rt_score": "95", "running_time": "124"},
                {"id": "grave", "title": "Grave of the Fireflies", "director": "Isao Takahata",
                 "release_date": "1988", "rt_score": "97"},
                {"id": "next", "title": "another", "director": "Hayao Miyazaki"},
            ],
            "people": [
                {"id": "p", "name": "Pazu", "age": "13", "films": [link("laputa")]},
                {"id": "s", "name": "Setsuko", "films": [link("grave")]},
            ],
        })
    }

    /// The ids of the films that a query chooses, in order.
    fn chosen(query: &str) -> String {
        let snapshot = snapshot(&films());
        let catalogue = catalogue(&snapshot);
        let site = Site::of(&snapshot, &"".into(), Posters::On);
        let page = page(&site, &catalogue, &Choice::parse(query).unwrap());
        let ids = page.split("<a href=\"/movies/").skip(1);
        let ids = ids.map(|rest| rest.split('"').next().unwrap());
        ids.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn films_are_searched_filtered_and_sorted() {
        for (query, ids) in [
            ("", "next grave laputa"),
            ("order=asc", "laputa grave next"),
            ("sort=title", "next laputa grave"),
            ("sort=title&order=desc", "grave laputa next"),
            ("sort=score", "grave laputa next"),
            ("sort=score&order=asc", "laputa grave next"),
            ("director=hayao+miyazaki", "next laputa"),
            ("director=Hayao", ""),
            ("decade=1980", "grave laputa"),
            ("decade=1990", ""),
            ("q=CASTLE+sky", "laputa"),
            ("q=ラピュタ", "laputa"),
            ("q=tenkū", "laputa"),
            ("q=takahata", "grave"),
            ("q=pazu", "laputa"),
            ("q=1988", ""),
            ("q=a&decade=1980&director=isao+takahata&view=cards", "grave"),
        ] {
            assert_eq!(chosen(query), ids, "{query}");
        }
    }

    #[test]
    fn both_looks_are_as_they_should_be() {
        let snapshot = snapshot(&films());
        let catalogue = catalogue(&snapshot);
        let site = Site::of(&snapshot, &"https://mirror.example/g".into(), Posters::On);
        let page = |query| page(&site, &catalogue, &Choice::parse(query).unwrap());
        let main = |page: String| {
            let (_, main) = page.split_once("<main").unwrap();
            main.split_once("</main>").unwrap().0.to_owned()
        };
        insta::assert_snapshot!("table", main(page("q=castle")));
        insta::assert_snapshot!("cards", main(page("q=castle&view=cards")));
    }

    #[test]
    fn a_person_is_described_as_far_as_known() {
        for (fields, line) in [
            (
                json!({"id": "1", "name": "Pazu", "age": "13", "eye_color": "Black", "hair_color": "Brown"}),
                "Pazu (age 13) with Black eyes, Brown hair",
            ),
            (
                json!({"id": "1", "name": "Jiji", "age": "NA", "eye_color": "Black", "hair_color": ""}),
                "Jiji with Black eyes",
            ),
            (json!({"id": "1", "name": "Totoro", "age": ""}), "Totoro"),
            (
                json!({"id": "1", "name": "Pom", "age": "Unspecified/Elderly", "hair_color": "None"}),
                "Pom (Elderly) with no hair",
            ),
            (
                json!({"id": "1", "name": "Ashitaka", "age": "late teens"}),
                "Ashitaka (late teens)",
            ),
            (json!({"id": 1, "age": 7, "eye_color": null}), "1 (age 7)"),
        ] {
            let catalogue = catalogue(&snapshot(&json!({"people": [fields]})));
            let Person { name, about } = person(&catalogue.collections.people.items[0]);
            assert_eq!(format!("{name}{about}"), line);
        }
    }
}
