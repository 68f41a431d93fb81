//! The requests that the reference describes: every path with every example.

use serde_json::Value;

/// One request, and its path in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) path: String,
    pub(crate) url: String,
    pub(crate) header: Option<(String, String)>,
    /// The path without the example; its answer must differ from this one's.
    pub(crate) differs_from: Option<String>,
}

/// Follows a reference within the document.
pub(crate) fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(path) = value["$ref"].as_str() else {
        return value;
    };
    let pointer = path.trim_start_matches('#');
    document.pointer(pointer).expect("leads somewhere")
}

/// The parameters of a path and of its GET.
pub(crate) fn parameters<'a>(document: &'a Value, at: &'a Value) -> Vec<&'a Value> {
    [&at["parameters"], &at["get"]["parameters"]]
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .map(|parameter| resolve(document, parameter))
        .collect()
}

/// All requests that must succeed. `ids` has one id of each collection.
pub(crate) fn visits(document: &Value, ids: &[(String, String)]) -> Vec<Visit> {
    let mut visits = Vec::new();
    for (path, at) in document["paths"].as_object().unwrap() {
        let parameters = parameters(document, at);
        let plain = |url: String| Visit {
            path: path.clone(),
            url,
            header: None,
            differs_from: None,
        };
        let example = with_examples(path, &parameters);
        visits.push(plain(example.clone()));
        // This page exists for films alone; other records have theirs below their collection.
        let has_page = |collection: &str| path != "/movies/{id}" || collection == "films";
        for (collection, id) in ids.iter().filter(|(name, _)| has_page(name)) {
            let url = path.replace("{collection}", collection).replace("{id}", id);
            for (related, _) in ids {
                visits.push(plain(url.replace("{related}", related)));
            }
        }
        for parameter in parameters {
            for example_of in parameter["examples"].as_object().into_iter().flatten() {
                visits.push(with_example(
                    plain(example.clone()),
                    parameter,
                    example_of.1,
                ));
            }
        }
    }
    visits.dedup();
    visits
}

/// The path with the examples of its own parameters.
fn with_examples(path: &str, parameters: &[&Value]) -> String {
    let examples = parameters.iter().filter_map(|parameter| {
        Some((parameter["name"].as_str()?, parameter["example"].as_str()?))
    });
    examples.fold(path.to_owned(), |path, (name, example)| {
        path.replace(&format!("{{{name}}}"), example)
    })
}

fn with_example(visit: Visit, parameter: &Value, example: &Value) -> Visit {
    let name = parameter["name"].as_str().unwrap();
    if parameter["in"] == "header" {
        let value = example["value"].as_str().unwrap().to_owned();
        let header = Some((name.to_owned(), value));
        return Visit { header, ..visit };
    }
    let with = example["x-with"].as_str();
    let without = with.map_or(visit.url.clone(), |with| format!("{}?{with}", visit.url));
    let query = query(name, &example["value"]);
    let url = match with {
        Some(with) => format!("{}?{with}&{query}", visit.url),
        None => format!("{}?{query}", visit.url),
    };
    // On other paths, an example may change nothing.
    let differs_from = (visit.path == "/{collection}").then_some(without);
    Visit {
        url,
        differs_from,
        ..visit
    }
}

/// `name=value`; an object has a pair for each property, a list one for each item.
fn query(name: &str, value: &Value) -> String {
    let pairs: Vec<String> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| query(name, value))
            .collect(),
        Value::Array(values) => values.iter().map(|value| query(name, value)).collect(),
        Value::String(text) => vec![format!("{name}={}", escaped(text))],
        other => vec![format!("{name}={other}")],
    };
    pairs.join("&")
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}
