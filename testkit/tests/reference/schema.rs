//! A small check of values against schemas, with the keywords that the reference uses (JSON Schema
//! 2020-12). An unknown keyword fails the test, so nothing stays unchecked.

use regex::Regex;
use serde_json::Value;

/// Keywords that say nothing about a value.
const ANNOTATIONS: [&str; 3] = ["description", "examples", "title"];

/// The errors in `value`, each with its place.
pub(crate) fn errors(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { document }.value("", schema, value, &mut found);
    found
}

struct Check<'a> {
    document: &'a Value,
}

impl Check<'_> {
    fn value(&self, at: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
        for (keyword, demand) in schema.as_object().expect("a schema is an object") {
            if ANNOTATIONS.contains(&keyword.as_str()) {
                continue;
            }
            match keyword.as_str() {
                "$ref" => {
                    let pointer = demand.as_str().unwrap().trim_start_matches('#');
                    let target = self.document.pointer(pointer).expect("leads somewhere");
                    self.value(at, target, value, found);
                }
                "anyOf" => {
                    let mut choices = demand.as_array().unwrap().iter();
                    let fits = |schema: &Value| {
                        let mut found = Vec::new();
                        self.value(at, schema, value, &mut found);
                        found.is_empty()
                    };
                    if !choices.any(fits) {
                        found.push(format!("{at}: fits no choice: {value}"));
                    }
                }
                "properties" => {
                    for (name, schema) in demand.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.value(&format!("{at}/{name}"), schema, value, found);
                        }
                    }
                }
                "additionalProperties" => {
                    let known = schema["properties"].as_object();
                    for (name, value) in value.as_object().into_iter().flatten() {
                        if known.is_none_or(|known| !known.contains_key(name)) {
                            self.value(&format!("{at}/{name}"), demand, value, found);
                        }
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(&format!("{at}/{index}"), demand, item, found);
                    }
                }
                _ if !holds(keyword, demand, value) => {
                    found.push(format!(
                        "{at}: {keyword} {demand} does not hold for {value}"
                    ));
                }
                _ => {}
            }
        }
    }
}

/// Checks the value itself. A demand on another type always holds.
fn holds(keyword: &str, demand: &Value, value: &Value) -> bool {
    let text = value.as_str();
    let length = |text: &str| text.chars().count() as u64;
    match keyword {
        "type" => match demand.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("this check knows no type {other}"),
        },
        "enum" => demand.as_array().unwrap().contains(value),
        "const" => demand == value,
        "pattern" => {
            let pattern = Regex::new(demand.as_str().unwrap()).expect("a pattern");
            text.is_none_or(|text| pattern.is_match(text))
        }
        "minLength" => text.is_none_or(|text| length(text) >= demand.as_u64().unwrap()),
        "maxLength" => text.is_none_or(|text| length(text) <= demand.as_u64().unwrap()),
        "minimum" => value
            .as_i64()
            .is_none_or(|value| value >= demand.as_i64().unwrap()),
        "maxProperties" => {
            let count = value.as_object().map(|fields| fields.len() as u64);
            count.is_none_or(|count| count <= demand.as_u64().unwrap())
        }
        "required" => {
            let names = demand.as_array().unwrap().iter();
            let missing = |name: &Value| value.get(name.as_str().unwrap()).is_none();
            !value.is_object() || !names.into_iter().any(missing)
        }
        other => panic!("this check knows no keyword {other}"),
    }
}

#[test]
fn wrong_values_are_reported_with_their_place() {
    let document = serde_json::json!({"Text": {"type": "string", "pattern": "^a"}});
    let schema = serde_json::json!({
        "type": "object",
        "required": ["list"],
        "properties": {"list": {"type": "array", "items": {"$ref": "#/Text"}}},
    });
    let errors = |value| errors(&document, &schema, &value);
    assert_eq!(
        errors(serde_json::json!({"list": ["a", "ab"], "more": 1})),
        [""; 0]
    );
    let wrong = errors(serde_json::json!({"list": ["a", 1, "b"]}));
    assert_eq!(
        wrong,
        [
            r#"/list/1: type "string" does not hold for 1"#,
            r#"/list/2: pattern "^a" does not hold for "b""#,
        ]
    );
    assert_eq!(errors(serde_json::json!({})).len(), 1);
    assert_eq!(errors(serde_json::json!([])).len(), 1);
}
