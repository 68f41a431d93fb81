//! Records of the five collections, in a line or two each.
//!
//! ```
//! use testkit::sample::{Film, Person};
//!
//! let film = Film::totoro().with_score("95");
//! let mei = Person::new("Mei").in_film(&film);
//! let record: serde_json::Value = mei.into();
//! assert_eq!(record["films"][0], film.url());
//! ```
//!
//! An id depends only on the collection and the name, so it is the same in every run. A new record
//! has placeholder links (a URL without an id) for unknown things, as the upstream's records have.
//! This module reads no file and does no other I/O.

mod catalogue;
mod names;
mod record;

pub use catalogue::{Catalogue, catalogue};
pub use names::{COLLECTIONS, ORIGIN, express_etag, id, link};
pub use record::{Film, Location, Person, Species, Vehicle};
