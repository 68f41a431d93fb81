//! What each parameter of the query string asks for.
//!
//! Owns the parameters' names, their allowed values and their limits. Knows no records.

use super::{
    condition::Condition,
    error::{self, BadQuery},
    js,
    order::Order,
    params,
    path::Path,
    relation,
    tree::{NoText, Param, Tree},
};

/// The highest number of values in conditions; each is compared with every record.
const MOST_CONDITIONS: usize = 64;

/// The highest number of patterns in `_like`. A hostile pattern costs a millisecond, a value only a
/// microsecond.
const MOST_PATTERNS: usize = 8;

/// Longest light query, in bytes.
const LONGEST_LIGHT: usize = 128;

/// Longest JSONP callback name, in bytes; the names that jQuery makes have about 40.
const LONGEST_CALLBACK: usize = 128;

/// The highest number of records that `limit` can ask for; a higher `limit` gets this many.
const LIMIT_CAP: f64 = 250.0;

/// Parameters that are not conditions.
const RESERVED: [&str; 10] = [
    "q", "_start", "_end", "_sort", "_order", "_limit", "_embed", "_expand", "callback", "_",
];

/// Whether the query surely asks for little: it is short, looks into no text, and replaces no links.
/// A name with escapes may be anything.
pub(super) fn is_light(raw: &str) -> bool {
    let is_light = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        let is_heavy = name == "q" || name == "_embed" || name == "_expand" || has_patterns(name);
        !is_heavy && !name.contains(['%', '+', '['])
    };
    raw.len() <= LONGEST_LIGHT && raw.split('&').all(is_light)
}

/// A parameter that a client may give once; `None` when it is absent or empty.
fn single(raw: &str, name: &str) -> Result<Option<String>, BadQuery> {
    let mut values = params::flat(raw, name);
    match values.len() {
        0 | 1 => Ok(values.pop().filter(|value| !value.is_empty())),
        count => {
            let problem =
                format!("is given {count} times; give it once, several names with commas");
            Err(BadQuery::new(name, problem))
        }
    }
}

/// The fields to keep; `None` to keep all of them.
pub(super) fn fields(raw: &str) -> Result<Option<Vec<String>>, BadQuery> {
    let list = single(raw, "fields")?;
    Ok(list.map(|list| list.split(',').map(str::to_owned).collect()))
}

/// The highest number of records to show.
pub(super) fn limit(raw: &str) -> Result<Option<usize>, BadQuery> {
    let Some(text) = single(raw, "limit")? else {
        return Ok(None);
    };
    let number = js::number(&text);
    if number >= 0.0 && (number.fract() == 0.0 || number.is_infinite()) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to the cap"
        )]
        return Ok(Some(number.min(LIMIT_CAP) as usize));
    }
    let text = error::shorten(&text);
    let problem = format!("has to be a whole number from 0, as in `limit=10`; it is `{text}`");
    Err(BadQuery::new("limit", problem))
}

pub(super) fn full_text(param: Option<&Param>) -> Result<Option<String>, BadQuery> {
    match param {
        None => Ok(None),
        Some(Param::Text(text)) if text.is_empty() => Ok(None),
        Some(Param::Text(text)) => Ok(Some(text.to_lowercase())),
        Some(_) => Err(BadQuery::new("q", "has to be one text, as in `q=totoro`")),
    }
}

pub(super) fn conditions(params: &Tree) -> Result<Vec<Condition>, BadQuery> {
    let named = || params.iter().filter(|(name, _)| !RESERVED.contains(name));
    let count = |value: &Param| value.clone().into_items().len();
    let patterns = named().filter(|(name, _)| has_patterns(name));
    let patterns = patterns.map(|(_, value)| count(value)).sum();
    let (mut values, mut patterns_so_far) = (0, 0);
    named()
        .map(|(name, value)| {
            values += count(value);
            patterns_so_far += if has_patterns(name) { count(value) } else { 0 };
            let most = match (values > MOST_CONDITIONS, patterns_so_far > MOST_PATTERNS) {
                (true, _) => format!("{MOST_CONDITIONS} conditions"),
                (_, true) => format!("{MOST_PATTERNS} patterns"),
                _ => return Condition::parse(name, value.clone(), patterns),
            };
            let problem = format!("goes beyond {most}; ask for less at once");
            Err(BadQuery::new(name, problem))
        })
        .collect()
}

fn has_patterns(name: &str) -> bool {
    name.contains("_like")
}

pub(super) fn order(params: &Tree) -> Result<Option<Order>, BadQuery> {
    let Some(by) = params.get("_sort").filter(|by| by.is_given()) else {
        return Ok(None);
    };
    let by = Path::from_param(by).map_err(|NoText| BadQuery::no_text("_sort"))?;
    let descending = matches!(params.get("_order"), Some(Param::Text(order)) if order == "DESC");
    Ok(Some(Order { by, descending }))
}

pub(super) fn callback(param: Option<&Param>) -> Result<Option<String>, BadQuery> {
    let name = match param {
        Some(Param::List(list)) => list.items.iter().flatten().next(),
        other => other,
    };
    let Some(Param::Text(name)) = name.filter(|name| name.is_given()) else {
        return Ok(None);
    };
    if name.len() > LONGEST_CALLBACK {
        let problem = format!("is longer than {LONGEST_CALLBACK} bytes; use a short name");
        return Err(BadQuery::new("callback", problem));
    }
    let allowed = |letter: &char| letter.is_ascii_alphanumeric() || "_$.[]".contains(*letter);
    Ok(Some(name.chars().filter(allowed).collect()))
}

/// The names that are relations; all others are ignored.
pub(super) fn embeds(params: &Tree) -> Vec<String> {
    let asked = ["_embed", "_expand"]
        .into_iter()
        .filter_map(|name| params.get(name));
    let names = asked.flat_map(|param| param.clone().into_items());
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if let Param::Text(name) = name
            && relation::RELATIONS.contains(&name.as_str())
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    found
}
