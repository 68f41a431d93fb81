//! The catalogue, many times larger: copies of its records with ids of their own.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::sample::COLLECTIONS;

/// How long an id is: a UUID.
const ID: usize = 36;

/// The five collections as the upstream would send them, by name.
pub(super) struct Bodies(Vec<(&'static str, String)>);

impl Bodies {
    /// Repeats the records of a catalogue without an empty collection. Links between the records of one copy stay within it.
    pub(super) fn repeated(catalogue: &Value, times: u32) -> Result<Self> {
        let lists = |name: &&str| catalogue[name].as_array().into_iter().flatten();
        let ids: HashSet<&str> = COLLECTIONS
            .iter()
            .flat_map(lists)
            .filter_map(|record| record["id"].as_str())
            .collect();
        let mut bodies = Vec::new();
        for name in COLLECTIONS {
            let text = serde_json::to_string_pretty(&catalogue[name])?;
            let inner = text
                .trim_start_matches('[')
                .trim_end_matches(']')
                .trim_end();
            let pieces = split(inner, &ids);
            let mut body = String::from("[");
            for copy in 0..times {
                if copy > 0 {
                    body.push(',');
                }
                for (before, id) in &pieces {
                    body.push_str(before);
                    body.push_str(&renamed(id, copy)?);
                }
            }
            body.push_str("\n]");
            bodies.push((name, body));
        }
        Ok(Self(bodies))
    }

    /// Names and bodies.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, body)| (*name, body.as_str()))
    }

    /// The size of all bodies in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|(_, body)| body.len()).sum()
    }

    /// Appends a film.
    pub(super) fn release(&mut self, film: &Value) -> Result<()> {
        let films = self.0.iter_mut().find(|(name, _)| *name == "films");
        let (_, body) = films.context("there are films")?;
        body.truncate(body.trim_end_matches(']').trim_end().len());
        body.extend([",\n", &film.to_string(), "\n]"]);
        Ok(())
    }
}

/// Cuts a text after each id: what stands before it, and the id. The last id is empty.
fn split<'a>(text: &'a str, ids: &HashSet<&str>) -> Vec<(&'a str, &'a str)> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        match text.get(at..at + ID) {
            Some(id) if ids.contains(id) => {
                pieces.push((&text[from..at], id));
                at += ID;
                from = at;
            }
            _ => at += 1,
        }
    }
    pieces.push((&text[from..], ""));
    pieces
}

/// The id of a copy: its first eight digits, raised by the copy's number.
fn renamed(id: &str, copy: u32) -> Result<String> {
    if copy == 0 || id.is_empty() {
        return Ok(id.to_owned());
    }
    let (first, rest) = id.split_at(8);
    let first = u32::from_str_radix(first, 16)?.wrapping_add(copy);
    Ok(format!("{first:08x}{rest}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn copies_have_their_own_ids_and_link_to_each_other() {
        let id = "2baf70d1-42bb-4437-b551-e5fed5a87abe";
        let mut catalogue = json!({});
        for name in COLLECTIONS {
            catalogue[name] = json!([{ "id": name }]);
        }
        catalogue["films"] = json!([{ "id": id, "title": "A" }]);
        catalogue["people"] = json!([{ "id": "someone", "films": [format!("/films/{id}")] }]);
        let mut bodies = Bodies::repeated(&catalogue, 3).expect("a catalogue");
        bodies.release(&json!({ "id": "n" })).expect("films");
        let read = |wanted: &str| -> Value {
            let body = bodies.all().find(|(name, _)| *name == wanted);
            serde_json::from_str(body.expect("a collection").1).expect("JSON")
        };
        let (films, people) = (read("films"), read("people"));
        assert_eq!(films[0]["id"], id);
        let last = "2baf70d3-42bb-4437-b551-e5fed5a87abe";
        assert_eq!(films[2]["id"], last);
        assert_eq!(people[2]["films"][0], format!("/films/{last}"));
        assert_eq!(films[3]["id"], "n");
        assert_eq!(read("vehicles").as_array().map(Vec::len), Some(3));
    }
}
