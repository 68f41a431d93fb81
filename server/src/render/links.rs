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
            let upstream = Upstream::of(&snapshot.upstream);
            fields
                .values_mut()
                .for_each(|value| rewrite(value, base, upstream));
        }
        fields
    }
}

fn rewrite(value: &mut Value, base: &str, upstream: Upstream<'_>) {
    match value {
        Value::String(text) => {
            if let Some(path) = upstream.path(text) {
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

/// The upstream as links name it.
#[derive(Clone, Copy)]
struct Upstream<'a> {
    host: &'a str,
    /// What its own paths begin with: a mirror of a mirror may have an upstream below a path.
    prefix: &'a str,
}

impl<'a> Upstream<'a> {
    /// From its base URL.
    fn of(url: &'a str) -> Self {
        let (host, path) = host_and_path(url).unwrap_or((url, ""));
        let prefix = path.trim_end_matches('/');
        Self { host, prefix }
    }

    /// The path and query of a link to the upstream, below the upstream's base; nothing for any
    /// other text.
    fn path(self, text: &str) -> Option<&str> {
        let (host, path) = host_and_path(text)?;
        if path.contains(char::is_whitespace) {
            return None;
        }
        if host.eq_ignore_ascii_case(self.host)
            && let Some(rest) = path.strip_prefix(self.prefix)
            && (rest.is_empty() || rest.starts_with(['/', '?', '#']))
        {
            return Some(rest);
        }
        let mut known = UPSTREAM_HOSTS.iter();
        known
            .any(|known| host.eq_ignore_ascii_case(known))
            .then_some(path)
    }
}

/// An HTTP URL's host, with its port unless that is the scheme's own, and everything after it.
fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let own_port = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => ":443",
        _ if scheme.eq_ignore_ascii_case("http") => ":80",
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    Some((host.strip_suffix(own_port).unwrap_or(host), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_upstream_are_told_from_other_text() {
        let path = |text| Upstream::of("http://localhost:4000").path(text);
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
        assert_eq!(path("HTTPS://ghibliapi.vercel.app:443/db"), Some("/db"));
        for other in [
            "https://image.tmdb.org/t/p/1.jpg",
            "https://ghibliapi.vercel.app:80/films/1",
            "htps://ghibliapi.vercel.app/films/1",
            "https://ghibliapi.vercel.app.evil.example/films/1",
            "see https://ghibliapi.vercel.app/films/1",
            "https://ghibliapi.vercel.app/ has the films",
            "TODO",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }

    #[test]
    fn links_to_an_upstream_below_a_path_lose_it() {
        let upstream = Upstream::of("https://api.example/ghibli/");
        let path = |text| upstream.path(text);
        assert_eq!(path("https://api.example/ghibli/films/1"), Some("/films/1"));
        assert_eq!(path("https://api.example/ghibli"), Some(""));
        assert_eq!(path("https://api.example/ghibli-2/films/1"), None);
        assert_eq!(path("https://api.example/films/1"), None);
        assert_eq!(path("https://ghibliapi.vercel.app/db"), Some("/db"));
    }
}
