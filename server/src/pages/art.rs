//! A film's picture: a drawing in colours of its own, and over it the poster, where posters are
//! shown and one loads.
//!
//! Checks the addresses of pictures. Loads nothing: browsers do.

use serde_json::{Map, Value};

use crate::config::Posters;

/// The longest address of a picture, in bytes.
const LONGEST: usize = 1024;

/// A picture, as the templates draw it.
#[derive(Debug)]
pub(super) struct Art<'a> {
    /// The address of the poster.
    pub(super) poster: Option<&'a str>,
    /// The hues of sky, sun and hills, in degrees.
    pub(super) sky: u32,
    pub(super) sun: u32,
    pub(super) hills: u32,
    /// The sun's centre and radius.
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) radius: u32,
}

impl<'a> Art<'a> {
    /// The picture of the record with this id, whose poster's address is in `field`.
    pub(super) fn of(
        id: &str,
        fields: &'a Map<String, Value>,
        field: &str,
        posters: Posters,
    ) -> Self {
        let seed = seed(id);
        let pick = |shift: u32, from: u32, to: u32| from + (seed >> shift) % (to - from);
        let sky = pick(0, 0, 360);
        Self {
            poster: address(fields, field).filter(|_| posters == Posters::On),
            sky,
            sun: (sky + pick(9, 120, 240)) % 360,
            hills: (sky + pick(14, 60, 150)) % 360,
            x: pick(4, 62, 98),
            y: pick(11, 18, 42),
            radius: pick(19, 7, 15),
        }
    }
}

/// The address of a picture, if it is one that a page may show: `https:`, and only characters of a
/// URL (RFC 3986).
pub(super) fn address<'a>(fields: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    let url = fields.get(field)?.as_str()?;
    let host = url.strip_prefix("https://")?;
    let is_url = host.starts_with(|first: char| first.is_ascii_alphanumeric())
        && url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}'".contains(&byte));
    (is_url && url.len() <= LONGEST).then_some(url)
}

/// A number that depends on every byte (FNV-1a), and is the same on every replica.
fn seed(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_plain_https_addresses_are_pictures() {
        let accepted = |url: &str| {
            let fields = json!({"image": url});
            address(fields.as_object().unwrap(), "image").is_some()
        };
        assert!(accepted(
            "https://image.tmdb.org/t/p/w600_and_h900_bestv2/a.jpg?x=1&y=%20"
        ));
        let long = format!("https://a/{}", "x".repeat(LONGEST));
        for url in [
            "",
            "NA",
            "http://host/a.jpg",
            "//host/a.jpg",
            "javascript:alert(1)",
            "data:image/svg+xml,<svg/>",
            "https://",
            "https:///a",
            "https://host/\"onload=x",
            "https://host/a b",
            "https://host/\u{e9}",
            &long,
        ] {
            assert!(!accepted(url), "{url}");
        }
    }

    #[test]
    fn a_drawing_depends_on_the_id_alone() {
        let (none, other) = (Map::new(), json!({"image": "https://host/a.jpg"}));
        let art = |id, fields| format!("{:?}", Art::of(id, fields, "image", Posters::Off));
        assert_eq!(art("a", &none), art("a", other.as_object().unwrap()));
        assert_ne!(art("a", &none), art("b", &none));
    }
}
