//! One builder for each collection; a builder is the record itself, ready to become a [`Value`].
//!
//! Checks no value, because many tests need wrong values.

use serde_json::{Map, Value, json};

use super::names::{id, link};

/// The methods of every record.
macro_rules! record {
    ($Type:ident, $collection:literal, $(#[$doc:meta])*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $Type(Map<String, Value>);

        impl $Type {
            /// The collection of these records.
            pub const COLLECTION: &str = $collection;

            /// The record's id, as text.
            pub fn id(&self) -> String {
                match &self.0["id"] {
                    Value::String(id) => id.clone(),
                    other => other.to_string(),
                }
            }

            /// The link that other records use for this record.
            pub fn url(&self) -> String {
                link($collection, &self.id())
            }

            /// Sets another id, a string or an integer, and a matching `url`.
            #[must_use]
            pub fn with_id(self, id: impl Into<Value>) -> Self {
                let renamed = self.with("id", id);
                let url = renamed.url();
                renamed.with("url", url)
            }

            /// Sets any field to any value; a new field goes to the end.
            #[must_use]
            pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
                self.0.insert(field.to_owned(), value.into());
                self
            }

            /// Removes a field.
            #[must_use]
            pub fn without(mut self, field: &str) -> Self {
                self.0.shift_remove(field);
                self
            }

            /// Adds a link to a list of links; it replaces a placeholder.
            #[must_use]
            pub fn with_link(mut self, field: &str, collection: &str, id: &str) -> Self {
                let links = self.0.entry(field).or_insert_with(|| json!([]));
                let links = links.as_array_mut().expect("a field that holds a list of links");
                links.retain(|known| *known != link(collection, ""));
                links.push(link(collection, id).into());
                self
            }

            fn made_of(name: &str, fields: Value) -> Self {
                let Value::Object(fields) = fields else {
                    unreachable!("records are built from objects")
                };
                let mut record = Map::new();
                record.insert("id".to_owned(), id($collection, name).into());
                record.extend(fields);
                let record = Self(record);
                let url = record.url();
                record.with("url", url)
            }
        }

        impl From<$Type> for Value {
            fn from(record: $Type) -> Self {
                Self::Object(record.0)
            }
        }

        impl From<&$Type> for Value {
            fn from(record: &$Type) -> Self {
                Self::Object(record.0.clone())
            }
        }
    };
}

record!(Film, "films", /// A film.
);
record!(Person, "people", /// A person.
);
record!(Location, "locations", /// A location.
);
record!(Species, "species", /// A species.
);
record!(Vehicle, "vehicles", /// A vehicle.
);

impl Film {
    /// A complete film with this title.
    pub fn new(title: &str) -> Self {
        let slug = id("images", title);
        Self::made_of(
            title,
            json!({
                "title": title,
                "original_title": format!("映画 {title}"),
                "original_title_romanised": format!("Eiga {title}"),
                "image": format!("https://image.tmdb.org/t/p/w600_and_h900_bestv2/{slug}.jpg"),
                "movie_banner": format!("https://image.tmdb.org/t/p/w533_and_h300_bestv2/{slug}.jpg"),
                "description": format!("A film called {title}, made up for a test."),
                "director": "Hayao Miyazaki",
                "producer": "Toshio Suzuki",
                "release_date": "2026",
                "running_time": "101",
                "rt_score": "90",
                "people": [link("people", "")],
                "species": [link("species", "")],
                "locations": [link("locations", "")],
                "vehicles": [link("vehicles", "")],
            }),
        )
    }

    /// My Neighbor Totoro, of 1988.
    pub fn totoro() -> Self {
        Self::new("My Neighbor Totoro")
            .with("original_title", "となりのトトロ")
            .with("original_title_romanised", "Tonari no Totoro")
            .with(
                "description",
                "Two sisters move to the country and meet who lives in the wood.",
            )
            .with("producer", "Hayao Miyazaki")
            .with("running_time", "86")
            .released("1988")
            .with_score("93")
    }

    /// Sets another `rt_score`.
    #[must_use]
    pub fn with_score(self, score: &str) -> Self {
        self.with("rt_score", score)
    }

    /// Sets another title; the id stays.
    #[must_use]
    pub fn with_title(self, title: &str) -> Self {
        self.with("title", title)
    }

    /// Sets another `release_date`.
    #[must_use]
    pub fn released(self, year: &str) -> Self {
        self.with("release_date", year)
    }

    /// The title.
    pub fn title(&self) -> String {
        self.0["title"].as_str().unwrap_or_default().to_owned()
    }
}

impl Person {
    /// A person with this name, in no film and of no known species.
    pub fn new(name: &str) -> Self {
        Self::made_of(
            name,
            json!({
                "name": name,
                "gender": "Female",
                "age": "10",
                "eye_color": "Brown",
                "hair_color": "Brown",
                "films": [link("films", "")],
                "species": link("species", ""),
            }),
        )
    }

    /// Adds a film. Changes only this record: the film's `people` stay as they are.
    #[must_use]
    pub fn in_film(self, film: &Film) -> Self {
        self.with_link("films", "films", &film.id())
    }

    /// Sets the species; a scalar. The only other scalar link is a vehicle's pilot.
    #[must_use]
    pub fn of_species(self, species: &Species) -> Self {
        self.with("species", species.url())
    }

    /// Sets another age, which is any text.
    #[must_use]
    pub fn aged(self, age: &str) -> Self {
        self.with("age", age)
    }
}

impl Location {
    /// A location with this name, in no film and without residents.
    pub fn new(name: &str) -> Self {
        Self::made_of(
            name,
            json!({
                "name": name,
                "climate": "Mild",
                "terrain": "Hill",
                "surface_water": "30",
                "residents": [link("people", "")],
                "films": [link("films", "")],
            }),
        )
    }

    /// Adds a film.
    #[must_use]
    pub fn in_film(self, film: &Film) -> Self {
        self.with_link("films", "films", &film.id())
    }

    /// Adds a resident.
    #[must_use]
    pub fn home_of(self, person: &Person) -> Self {
        self.with_link("residents", "people", &person.id())
    }
}

impl Species {
    /// A species with this name, in no film and without people.
    pub fn new(name: &str) -> Self {
        Self::made_of(
            name,
            json!({
                "name": name,
                "classification": "Mammal",
                "eye_colors": "Black, Brown",
                "hair_colors": "Black, Grey",
                "people": [link("people", "")],
                "films": [link("films", "")],
            }),
        )
    }

    /// Adds a film.
    #[must_use]
    pub fn in_film(self, film: &Film) -> Self {
        self.with_link("films", "films", &film.id())
    }

    /// Adds a person of this species.
    #[must_use]
    pub fn of(self, person: &Person) -> Self {
        self.with_link("people", "people", &person.id())
    }
}

impl Vehicle {
    /// A vehicle with this name, in no film and with a placeholder for its pilot.
    pub fn new(name: &str) -> Self {
        Self::made_of(
            name,
            json!({
                "name": name,
                "description": format!("A vehicle called {name}, made up for a test."),
                "vehicle_class": "Boat",
                "length": "10",
                "pilot": link("people", ""),
                "films": [link("films", "")],
            }),
        )
    }

    /// Adds a film.
    #[must_use]
    pub fn in_film(self, film: &Film) -> Self {
        self.with_link("films", "films", &film.id())
    }

    /// Sets the pilot; a scalar.
    #[must_use]
    pub fn piloted_by(self, person: &Person) -> Self {
        self.with("pilot", person.url())
    }
}
