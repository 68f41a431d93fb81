//! Whole catalogues: one to build record by record, and one sample that has every oddity.
//!
//! Does not hold the real data; that is `testkit::catalogue`.

use serde_json::{Value, json};

use super::names::{COLLECTIONS, ORIGIN, link};
use super::record::{Film, Location, Person, Species, Vehicle};

/// A catalogue under construction: five lists, each in the order in which records were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(Value);

impl Default for Catalogue {
    fn default() -> Self {
        Self::new()
    }
}

impl Catalogue {
    /// Five empty collections.
    pub fn new() -> Self {
        Self(
            COLLECTIONS
                .iter()
                .map(|name| ((*name).to_owned(), json!([])))
                .collect(),
        )
    }

    /// Adds a film.
    #[must_use]
    pub fn film(self, film: impl Into<Value>) -> Self {
        self.with("films", film)
    }

    /// Adds a person.
    #[must_use]
    pub fn person(self, person: impl Into<Value>) -> Self {
        self.with("people", person)
    }

    /// Adds a location.
    #[must_use]
    pub fn location(self, location: impl Into<Value>) -> Self {
        self.with("locations", location)
    }

    /// Adds a species.
    #[must_use]
    pub fn species(self, species: impl Into<Value>) -> Self {
        self.with("species", species)
    }

    /// Adds a vehicle.
    #[must_use]
    pub fn vehicle(self, vehicle: impl Into<Value>) -> Self {
        self.with("vehicles", vehicle)
    }

    fn with(mut self, collection: &str, record: impl Into<Value>) -> Self {
        self.0[collection]
            .as_array_mut()
            .expect("every collection is a list from the start")
            .push(record.into());
        self
    }
}

impl From<Catalogue> for Value {
    fn from(catalogue: Catalogue) -> Self {
        catalogue.0
    }
}

/// A small catalogue with every oddity of the real one, and some from other hosts of the same data:
///
/// - placeholder links in every relation, lists and scalars
/// - `TODO` as a resident and as a climate, `NA`, `late teens`, `Over 50`, `1,000`, empty strings
/// - a score that is not a number, empty lists, a list that holds an empty string
/// - a person with another person's `url`, and one with a broken scheme
/// - relations that only one side lists
/// - records with another key order, and one with a field that no other record has
/// - images on several hosts
pub fn catalogue() -> Value {
    let totoro = Film::totoro();
    let castle = castle_in_the_sky();
    let earwig = earwig();

    let mei = Person::new("Mei Kusakabe").aged("4").in_film(&totoro);
    let satsuki = Person::new("Satsuki Kusakabe")
        .aged("11")
        .in_film(&totoro)
        .with("url", mei.url());
    let sheeta = Person::new("Sheeta").aged("late teens").in_film(&castle);
    let dola = Person::new("Dola")
        .aged("Over 50")
        .in_film(&castle)
        .with("eye_color", "");
    let muska = Person::new("Colonel Muska")
        .with("gender", "Male")
        .in_film(&castle);
    let earwig_girl = Person::new("Earwig").aged("NA").in_film(&earwig);
    let earwig_girl = {
        let broken = earwig_girl.url().replacen("https:", "htps:", 1);
        earwig_girl.with("url", broken)
    };

    let human = Species::new("Human")
        .in_film(&totoro)
        .in_film(&castle)
        .of(&mei)
        .of(&sheeta);
    let totoros = {
        // Sets `url` before the relations: key order differs between records.
        let plain = Species::new("Totoro").with("classification", "Spirit");
        let url = plain.url();
        plain
            .without("people")
            .without("films")
            .with("url", url)
            .with("people", json!([]))
    }
    .in_film(&totoro);

    let (mei, sheeta) = (mei.of_species(&human), sheeta.of_species(&human));
    // The castle lists Sheeta but not Muska; Totoro lists nobody, though two people list it.
    let castle = castle.with_link("people", "people", &sheeta.id());

    Catalogue::new()
        .film(castle)
        .film(&totoro)
        .film(&earwig)
        .person(&mei)
        .person(satsuki)
        .person(&sheeta)
        .person(dola)
        .person(&muska)
        .person(earwig_girl)
        .location(Location::new("Matsugo").in_film(&totoro).home_of(&mei))
        .location(
            Location::new("Gondoa")
                .with("climate", "TODO")
                .with("surface_water", "")
                .with("residents", json!(["TODO"])),
        )
        .species(human)
        .species(totoros)
        .vehicle(
            Vehicle::new("Goliath")
                .with("length", "1,000")
                .piloted_by(&muska)
                .with(
                    "films",
                    json!([
                        link("films", ""),
                        link("films", &super::names::id("films", "Castle in the Sky"))
                    ]),
                ),
        )
        .vehicle(
            Vehicle::new("Catbus")
                .with("length", "")
                .with("legs", "12")
                .in_film(&totoro),
        )
        .into()
}

fn castle_in_the_sky() -> Film {
    Film::new("Castle in the Sky")
        .with("original_title", "天空の城ラピュタ")
        .with("original_title_romanised", "Tenkū no shiro Rapyuta")
        .with(
            "description",
            "A girl with a glowing stone falls from the sky, into many troubles.",
        )
        .with("producer", "Isao Takahata")
        .with("running_time", "124")
        .released("1986")
        .with_score("95")
}

fn earwig() -> Film {
    Film::new("Earwig and the Witch")
        .with(
            "image",
            "https://www.themoviedb.org/t/p/w600_and_h900_bestv2/earwig.jpg",
        )
        .with("movie_banner", format!("{ORIGIN}/images/earwig.jpg"))
        .with("director", "Gorō Miyazaki")
        .with("description", "")
        .with("people", json!([]))
        .with("vehicles", json!([""]))
        .released("2021")
        .with_score("TBA")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_its_warts() {
        let text = catalogue().to_string();
        let warts = [
            "TODO",
            "\"NA\"",
            "late teens",
            "Over 50",
            "1,000",
            "\"\"",
            "TBA",
            "htps:",
            "/people/\"",
        ];
        for wart in warts {
            assert!(text.contains(wart), "{wart}");
        }
    }
}
