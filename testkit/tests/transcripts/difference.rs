//! Reasons why an answer may differ from the recorded one.
//!
//! Each reason has a rule for the answer; a reason alone excuses nothing.

use serde_json::{Map, Value, json};
use testkit::client::Response;

use crate::transcript::Transcript;

/// Why an answer differs on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// The mirror refuses a write; the original server accepts and forgets it.
    ReadOnly,
    /// The mirror refuses what made the original server fail, and names the parameter.
    Refused,
    /// `/` redirects to the page for people.
    Root,
    /// `/films/{id}/people` holds that film's people instead of all people.
    RealSubCollections,
    /// `_embed` and `_expand` put records in place of links instead of deleting the field.
    Embedded,
    /// A number in a condition equals the same number as text.
    ValuesAsText,
    /// The mirror supports Brotli but not deflate.
    Compressed,
}

impl Difference {
    const ALL: [Self; 7] = [
        Self::ReadOnly,
        Self::Refused,
        Self::Root,
        Self::RealSubCollections,
        Self::Embedded,
        Self::ValuesAsText,
        Self::Compressed,
    ];

    /// The reason whose rule the answer satisfies.
    pub(crate) fn explaining(theirs: &Transcript, ours: &Response, data: &Value) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|difference| difference.explains(theirs, ours, data))
    }

    fn explains(self, theirs: &Transcript, ours: &Response, data: &Value) -> bool {
        let (path, query) = theirs
            .path
            .split_once('?')
            .unwrap_or((theirs.path.as_str(), ""));
        let parameter = query.split(['=', '&']).next().unwrap_or("");
        match self {
            Self::ReadOnly => {
                let writes = ["POST", "PUT", "PATCH", "DELETE"].contains(&theirs.method.as_str());
                writes
                    && is_problem(ours, 405)
                    && ours.header("allow") == Some("GET, HEAD, OPTIONS")
            }
            Self::Refused => {
                let at_fault = if query.is_empty() { "id" } else { parameter };
                theirs.status == 500
                    && is_problem(ours, 400)
                    && ours.json()["parameter"] == at_fault
            }
            Self::Root => {
                let leads = ours.status == 302 && ours.header("location") == Some("/movies");
                path == "/" && leads
            }
            Self::RealSubCollections => {
                let Some((id, related)) = related(path, data) else {
                    return false;
                };
                let known = list(&data["films"]).iter().any(|film| film["id"] == id);
                let answer = if known { related } else { json!({}) };
                let status = if known { 200 } else { 404 };
                ours.status == status && ours.json() == answer
            }
            Self::Embedded => {
                let field = query.split(['=', '&']).nth(1).unwrap_or("");
                ["_embed", "_expand"].contains(&parameter) && is_embedded(theirs, ours, field, data)
            }
            Self::ValuesAsText => {
                let excluded = parameter
                    .strip_suffix("_ne")
                    .zip(query.split(['=', '&']).nth(1));
                let Some(((field, value), body)) = excluded.zip(theirs.body.as_ref()) else {
                    return false;
                };
                let mut left: Value = serde_json::from_slice(body).unwrap();
                let left_of = left.as_array_mut().unwrap();
                left_of.retain(|record| record[field] != value);
                ours.status == 200 && ours.json() == left
            }
            Self::Compressed => {
                let codings = (
                    theirs.answer("content-encoding"),
                    ours.header("content-encoding"),
                );
                let instead = [(Some("deflate"), None), (None, Some("br"))].contains(&codings);
                // The tag belongs to the body without any coding.
                let is_same =
                    ours.status == theirs.status && ours.header("etag") == theirs.answer("etag");
                instead && is_same
            }
        }
    }
}

fn is_problem(answer: &Response, status: u16) -> bool {
    let kind = answer.header("content-type") == Some("application/problem+json");
    answer.status == status && kind && answer.json()["status"] == status
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The id in `/films/{id}/people`, and the people with this film, on either side's list.
fn related<'a>(path: &'a str, data: &Value) -> Option<(&'a str, Value)> {
    let id = path.strip_prefix("/films/")?.strip_suffix("/people")?;
    let mut films = list(&data["films"]).iter();
    let film = films.find(|film| film["id"] == id);
    let ends_with = |link: &Value, id: &str| link.as_str().is_some_and(|link| link.ends_with(id));
    let people = list(&data["people"]).iter().filter(|person| {
        let own = person["id"].as_str().unwrap();
        list(&person["films"])
            .iter()
            .any(|link| ends_with(link, id))
            || film.is_some_and(|film| {
                let people = list(&film["people"]);
                people.iter().any(|link| ends_with(link, own))
            })
    });
    Some((id, people.cloned().collect()))
}

/// Whether our records equal the recorded ones, except for one field, in which records replace the
/// data's links.
fn is_embedded(theirs: &Transcript, ours: &Response, field: &str, data: &Value) -> bool {
    let without = |record: &Value| -> Map<String, Value> {
        let mut fields = record.as_object().unwrap().clone();
        fields.shift_remove(field);
        fields
    };
    let recorded: Value = serde_json::from_slice(theirs.body.as_ref().unwrap()).unwrap();
    let (recorded, ours) = (list(&recorded).to_vec(), ours.json());
    let collection = theirs.path[1..].split('?').next().unwrap();
    recorded.len() == list(&ours).len()
        && recorded.iter().zip(list(&ours)).all(|(theirs, ours)| {
            let mut records = list(&data[collection]).iter();
            let original = records.find(|record| record["id"] == ours["id"]).unwrap();
            without(theirs) == without(ours) && ours[field] == replaced(&original[field], data)
        })
}

fn replaced(links: &Value, data: &Value) -> Value {
    let record = |link: &str| {
        let (rest, id) = link.rsplit_once('/')?;
        let (_, collection) = rest.rsplit_once('/')?;
        let mut records = list(&data[collection]).iter();
        records.find(|record| record["id"] == id).cloned()
    };
    match links {
        Value::String(link) => record(link).unwrap_or(Value::Null),
        links => list(links)
            .iter()
            .filter_map(|link| record(link.as_str()?))
            .collect(),
    }
}
