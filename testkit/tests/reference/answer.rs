//! Compares answers with the reference, and records which parts of the reference they cover.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testkit::client::Response;

use crate::schema;
use crate::visit::resolve;

/// Checks answers, and records what it has seen.
pub(crate) struct Seen<'a> {
    document: &'a Value,
    answers: usize,
    statuses: BTreeSet<(String, String)>,
    headers: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(document: &'a Value) -> Self {
        Self {
            document,
            answers: 0,
            statuses: BTreeSet::new(),
            headers: BTreeMap::new(),
        }
    }

    /// An answer to a GET of a path.
    pub(crate) fn answer(&mut self, path: &str, asked: &str, answer: &Response) {
        let status = answer.status.to_string();
        let response = &self.document["paths"][path]["get"]["responses"][&status];
        let name = response["$ref"].as_str();
        let name = name.unwrap_or_else(|| panic!("{asked}: {path} has no {status}"));
        self.statuses.insert((path.to_owned(), status));
        self.response(name.rsplit('/').next().unwrap(), asked, answer);
    }

    /// Checks an answer against one of the document's responses.
    pub(crate) fn response(&mut self, name: &str, asked: &str, answer: &Response) {
        self.answers += 1;
        let response = &self.document["components"]["responses"][name];
        assert!(response.is_object(), "no response {name}");
        self.check_headers(name, response, asked, answer);
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{asked}: {name} has no body");
            return;
        };
        let kind = answer.header("content-type").expect("a content type");
        let kind = kind.split(';').next().unwrap();
        let described = content
            .get(kind)
            .unwrap_or_else(|| panic!("{asked}: {name} is no {kind}"));
        let body = if kind.ends_with("json") {
            answer.json()
        } else {
            answer.text().into()
        };
        let wrong = schema::errors(self.document, &described["schema"], &body);
        assert!(wrong.is_empty(), "{asked}: {wrong:?}");
    }

    fn check_headers(&mut self, name: &str, response: &Value, asked: &str, answer: &Response) {
        for (header, described) in response["headers"].as_object().into_iter().flatten() {
            let described = resolve(self.document, described);
            let Some(value) = answer.header(header) else {
                assert!(described["required"] != true, "{asked}: no {header}");
                continue;
            };
            let wrong = schema::errors(self.document, &described["schema"], &value.into());
            assert!(wrong.is_empty(), "{asked}: {header}: {wrong:?}");
            let seen = self.headers.entry(name.to_owned()).or_default();
            seen.insert(header.clone());
        }
        // A successful answer has these headers only if the reference describes them.
        let known = [
            "X-Total-Count",
            "Link",
            "Age",
            "Cache-Status",
            "Retry-After",
            "Allow",
        ];
        for header in known {
            let described = response["headers"][header].is_object();
            let is_error = answer.status >= 400;
            let silent = !answer.headers.contains_key(header);
            assert!(
                described || silent || is_error,
                "{asked}: {name} has {header}"
            );
        }
    }

    /// Checks that the answers covered everything in the reference. Returns the number of answers.
    pub(crate) fn finish(self) -> usize {
        for (path, at) in self.document["paths"].as_object().unwrap() {
            for status in at["get"]["responses"].as_object().unwrap().keys() {
                let wanted = (path.clone(), status.clone());
                assert!(
                    self.statuses.contains(&wanted),
                    "{path} never answered {status}"
                );
            }
        }
        for (name, response) in self.document["components"]["responses"]
            .as_object()
            .unwrap()
        {
            let seen = self.headers.get(name).cloned().unwrap_or_default();
            for header in response["headers"].as_object().into_iter().flatten() {
                assert!(seen.contains(header.0), "no {name} ever had {}", header.0);
            }
        }
        self.answers
    }
}

/// The examples of a response's bodies.
pub(crate) fn examples(response: &Value) -> impl Iterator<Item = &Value> {
    let contents = response["content"].as_object().into_iter().flatten();
    contents.flat_map(|(_, content)| {
        let examples = content["examples"].as_object().into_iter().flatten();
        examples.map(|(_, example)| example)
    })
}
