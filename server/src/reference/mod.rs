//! The reference: one OpenAPI document, written by hand. The server sends it as it is, and as a
//! page for people.
//!
//! Pure. Knows the document's structure, not its content.

mod openapi;
mod snippets;

use askama::Template;
use serde_json::Value;

use self::openapi::{Reader, entries, prose, text};
use crate::render::{Body, HTML, JSON, pretty};

/// `testkit/tests/reference` checks it against running servers.
const DOCUMENT: &str = include_str!("../../openapi.json");

/// The page's script, which runs examples. The page's policy allows it by its hash.
pub(crate) const SCRIPT: &str = include_str!("../../templates/docs.js");

/// Both forms of the reference.
#[derive(Debug)]
pub struct Reference {
    /// `/openapi.json`.
    pub document: Body,
    /// `/docs`.
    pub page: Body,
}

impl Reference {
    /// The reference of a mirror that clients know under `base`; its paths begin with `prefix`.
    pub fn render(base: &str, prefix: &str) -> Self {
        let mut document: Value = serde_json::from_str(DOCUMENT).expect("openapi.json is JSON");
        document["servers"][0]["url"] = base.into();
        let page = Page::of(&document, base, prefix);
        let html = page.render().expect("templates write to memory");
        Self {
            document: Body::new(JSON, pretty(&document)),
            page: Body::new(HTML, html),
        }
    }
}

/// Text split at its backticks: each piece, and whether it is code.
type Prose<'a> = Vec<(bool, &'a str)>;

#[derive(Template)]
#[template(path = "docs.html")]
struct Page<'a> {
    base: &'a str,
    prefix: &'a str,
    summary: &'a str,
    paragraphs: Vec<Prose<'a>>,
    endpoints: Vec<Endpoint<'a>>,
    parameters: Vec<Parameter<'a>>,
    headers: Vec<(&'a str, Prose<'a>)>,
    problems: Vec<Problem<'a>>,
    /// The description of what all records have in common.
    records: Prose<'a>,
    schemas: Vec<Schema<'a>>,
    script: &'static str,
}

struct Endpoint<'a> {
    path: &'a str,
    /// The path, filled in with its example parameters.
    href: String,
    summary: Prose<'a>,
    description: Prose<'a>,
    /// Names of parameters, each with the anchor of its explanation.
    parameters: Vec<(&'a str, &'a str)>,
    answers: Vec<(&'a str, Prose<'a>)>,
    /// The example as programs ask for it: the language, and the code.
    snippets: [(&'static str, String); 4],
}

struct Parameter<'a> {
    anchor: &'a str,
    name: &'a str,
    place: &'a str,
    description: Prose<'a>,
    examples: Vec<Example<'a>>,
}

struct Example<'a> {
    summary: &'a str,
    shown: String,
    /// `None` if a browser cannot open it with a click.
    href: Option<String>,
}

struct Problem<'a> {
    status: &'a str,
    description: Prose<'a>,
    examples: Vec<(&'a str, &'a str, String)>,
}

struct Schema<'a> {
    name: &'a str,
    description: Prose<'a>,
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    name: &'a str,
    description: Prose<'a>,
    examples: Vec<String>,
}

impl<'a> Page<'a> {
    fn of(document: &'a Value, base: &'a str, prefix: &'a str) -> Self {
        let reader = Reader {
            document,
            base,
            prefix,
        };
        let components = &document["components"];
        let headers = entries(&components["headers"]);
        Self {
            base,
            prefix,
            summary: text(&document["info"], "summary"),
            paragraphs: text(&document["info"], "description")
                .split("\n\n")
                .map(prose)
                .collect(),
            endpoints: entries(&document["paths"])
                .map(|(path, at)| reader.endpoint(path, at))
                .collect(),
            parameters: entries(&components["parameters"])
                .map(|(anchor, parameter)| reader.parameter(anchor, parameter))
                .collect(),
            headers: headers
                .map(|(name, header)| (name, prose(text(header, "description"))))
                .collect(),
            problems: reader.problems(),
            records: prose(text(&components["schemas"]["Record"], "description")),
            schemas: entries(&components["schemas"])
                .filter(|(_, schema)| schema["properties"]["id"].is_object())
                .map(|(name, schema)| reader.schema(name, schema))
                .collect(),
            script: SCRIPT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_this_version() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    /// Every text of the document is shown as prose, except where the page shows code.
    #[test]
    fn the_page_shows_no_backticks() {
        let page = Reference::render("https://ghibli.example", "").page;
        let page = std::str::from_utf8(&page.identity.bytes).unwrap();
        let (page, _script) = page.split_once("<script>").unwrap();
        let outside_code = page
            .split("<pre>")
            .map(|part| part.split_once("</pre>").map_or(part, |(_, after)| after));
        let shown: Vec<_> = outside_code.filter(|text| text.contains('`')).collect();
        assert!(shown.is_empty(), "{shown:?}");
    }

    #[test]
    fn the_document_is_served_as_it_is_but_for_the_address() {
        let served = Reference::render("https://ghibli.example/mirror", "/mirror").document;
        let served: Value = serde_json::from_slice(&served.identity.bytes).unwrap();
        let mut expected: Value = serde_json::from_str(DOCUMENT).unwrap();
        expected["servers"][0]["url"] = "https://ghibli.example/mirror".into();
        assert_eq!(served, expected);
    }
}
