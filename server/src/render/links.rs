//! Where links in the data point (serving rule 7).

use serde_json::{Map, Value};
use shared::catalogue::Record;
use shared::snapshot::Snapshot;

/// The hosts under which the upstream's data has named itself over the years.
const UPSTREAM_HOSTS: [&str; 2] = ["ghibliapi.vercel.app", "ghibliapi.herokuapp.com"];

/// What to do with links to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// Leave them as they are.
    Verbatim,
    /// Point them at this base URL, which has no trailing slash.
    To(String),
}

impl Links {
    /// A record with its links pointing where they should. Only whole values are links; prose
    /// that mentions one is left alone, and so are links to other hosts.
    pub(super) fn rewrite(&self, snapshot: &Snapshot, record: &Record) -> Map<String, Value> {
        let mut fields = record.fields().clone();
        if let Self::To(base) = self {
            let upstream = authority(&snapshot.upstream);
            fields
                .values_mut()
                .for_each(|value| rewrite(value, base, upstream));
        }
        fields
    }
}

fn rewrite(value: &mut Value, base: &str, upstream: &str) {
    match value {
        Value::String(text) => {
            if let Some(path) = upstream_path(text, upstream) {
                *text = format!("{base}{path}");
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| rewrite(item, base, upstream)),
        Value::Object(fields) => {
            fields
                .values_mut()
                .for_each(|field| rewrite(field, base, upstream));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The path and query of a link to the upstream; nothing for any other text.
fn upstream_path<'a>(text: &'a str, upstream: &str) -> Option<&'a str> {
    let (scheme, rest) = text.split_once("://")?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let ours = UPSTREAM_HOSTS
        .iter()
        .chain([&upstream])
        .any(|ours| host.eq_ignore_ascii_case(ours));
    (ours && !path.contains(char::is_whitespace)).then_some(path)
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_upstream_are_told_from_other_text() {
        let path = |text| upstream_path(text, "localhost:4000");
        assert_eq!(
            path("https://ghibliapi.vercel.app/films/1"),
            Some("/films/1")
        );
        assert_eq!(
            path("http://GhibliAPI.herokuapp.com/people/"),
            Some("/people/")
        );
        assert_eq!(path("http://localhost:4000/films"), Some("/films"));
        assert_eq!(path("https://ghibliapi.vercel.app"), Some(""));
        for other in [
            "https://image.tmdb.org/t/p/1.jpg",
            "htps://ghibliapi.vercel.app/films/1",
            "https://ghibliapi.vercel.app.evil.example/films/1",
            "see https://ghibliapi.vercel.app/films/1",
            "https://ghibliapi.vercel.app/ has the films",
            "TODO",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
