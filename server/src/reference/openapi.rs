//! Reads from an OpenAPI document what the page shows.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::snippets::snippets;
use super::{Endpoint, Example, Field, Parameter, Problem, Prose, Schema};
use crate::render::pretty;

/// Everything except the characters that may stand in a query unescaped.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b',');

/// Reads from a document what the template shows.
pub(super) struct Reader<'a> {
    pub(super) document: &'a Value,
    pub(super) base: &'a str,
    pub(super) prefix: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn endpoint(&self, path: &'a str, at: &'a Value) -> Endpoint<'a> {
        let operation = &at["get"];
        let (mut href, mut parameters) = (format!("{}{path}", self.prefix), Vec::new());
        for parameter in items(&at["parameters"]).chain(items(&operation["parameters"])) {
            let (anchor, parameter) = self.resolve(parameter);
            let name = text(parameter, "name");
            if let Some(example) = parameter["example"].as_str() {
                href = href.replace(&format!("{{{name}}}"), example);
            }
            parameters.push((name, anchor));
        }
        let answers = entries(&operation["responses"]).map(|(status, response)| {
            let (_, response) = self.resolve(response);
            (status, prose(text(response, "description")))
        });
        let below = href.strip_prefix(self.prefix).unwrap_or(&href);
        Endpoint {
            path,
            snippets: snippets(&format!("{}{below}", self.base)),
            href,
            summary: prose(text(operation, "summary")),
            description: prose(text(operation, "description")),
            parameters,
            answers: answers.collect(),
        }
    }

    pub(super) fn parameter(&self, anchor: &'a str, parameter: &'a Value) -> Parameter<'a> {
        let (name, place) = (text(parameter, "name"), text(parameter, "in"));
        let example = |(_, example): (&str, &'a Value)| {
            let summary = text(example, "summary");
            if place != "query" {
                let shown = format!("{name}: {}", plain(&example["value"]));
                return Example {
                    summary,
                    shown,
                    href: None,
                };
            }
            let query = [text(example, "x-with"), &query(name, &example["value"])]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("&");
            Example {
                summary,
                shown: format!("/films?{query}"),
                href: Some(format!("{}/films?{query}", self.prefix)),
            }
        };
        Parameter {
            anchor,
            name,
            place,
            description: prose(text(parameter, "description")),
            examples: entries(&parameter["examples"]).map(example).collect(),
        }
    }

    /// The error answers, with examples.
    pub(super) fn problems(&self) -> Vec<Problem<'a>> {
        let responses = &self.document["components"]["responses"];
        let problem = |(status, name): (&'static str, &str)| {
            let response = &responses[name];
            let contents = entries(&response["content"]);
            let examples = contents.flat_map(|(_, content)| entries(&content["examples"]));
            let examples = examples.map(|(_, example)| {
                let method = example["x-method"].as_str().unwrap_or("GET");
                (
                    method,
                    text(example, "x-request"),
                    pretty(&example["value"]),
                )
            });
            Problem {
                status,
                description: prose(text(response, "description")),
                examples: examples.collect(),
            }
        };
        [
            ("400", "BadParameter"),
            ("404", "Nothing"),
            ("405", "NotAllowed"),
            ("503", "NotReady"),
        ]
        .map(problem)
        .into()
    }

    pub(super) fn schema(&self, name: &'a str, schema: &'a Value) -> Schema<'a> {
        let field = |(name, field): (&'a str, &'a Value)| {
            let (_, field) = self.resolve(field);
            Field {
                name,
                description: prose(text(field, "description")),
                examples: items(&field["examples"]).map(Value::to_string).collect(),
            }
        };
        Schema {
            name,
            description: prose(text(schema, "description")),
            fields: entries(&schema["properties"]).map(field).collect(),
        }
    }

    /// The target of a reference within the document, with its name; any other value unchanged.
    fn resolve(&self, value: &'a Value) -> (&'a str, &'a Value) {
        let Some(path) = value["$ref"].as_str() else {
            return ("", value);
        };
        let pointer = path.trim_start_matches('#');
        let name = pointer.rsplit('/').next().unwrap_or_default();
        (
            name,
            self.document.pointer(pointer).expect("leads somewhere"),
        )
    }
}

/// `name=value`, or one such pair for each property of an object.
fn query(name: &str, value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let pairs: Vec<_> = fields
                .iter()
                .map(|(name, value)| query(name, value))
                .collect();
            pairs.join("&")
        }
        Value::Array(values) => {
            let pairs: Vec<_> = values.iter().map(|value| query(name, value)).collect();
            pairs.join("&")
        }
        value => {
            let text = plain(value);
            format!("{name}={}", utf8_percent_encode(&text, &ESCAPED))
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn prose(text: &str) -> Prose<'_> {
    let pieces = text.split('`').enumerate();
    let pieces = pieces.map(|(index, piece)| (index % 2 == 1, piece));
    pieces.filter(|(_, piece)| !piece.is_empty()).collect()
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_text_is_distinguished_from_prose() {
        let pieces = [(false, "Leads to "), (true, "/movies"), (false, ".")];
        assert_eq!(prose("Leads to `/movies`."), pieces);
    }

    #[test]
    fn examples_become_queries() {
        let value = serde_json::json!({"a": ["x y", "ō"], "b_like": "c|d"});
        assert_eq!(query("field", &value), "a=x%20y&a=%C5%8D&b_like=c%7Cd");
        assert_eq!(query("limit", &3.into()), "limit=3");
    }
}
