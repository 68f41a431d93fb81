//! What an answer of the mirror shows: which films, and of which generation. Asks nobody.

use serde_json::Value;

use crate::client::Response;

/// The generation at the foot of the page.
pub(super) fn generation(page: &Response) -> Option<u64> {
    let text = page.text();
    let (_, after) = text.rsplit_once(", generation ")?;
    let end = after.find(|character: char| !character.is_ascii_digit())?;
    after[..end].parse().ok()
}

/// The ids of a list of records.
pub(super) fn ids(films: &Value) -> Vec<String> {
    let films = films.as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |film: &Value| film["id"].as_str().unwrap_or_default().to_owned();
    films.iter().map(id).collect()
}
