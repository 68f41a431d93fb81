//! Where links in the data point (serving rule 7).

use std::fmt;

use serde_json::{Map, Value};
use shared::catalogue::Collection;
use shared::catalogue::snapshot::Snapshot;

/// The hosts that the API has had over the years. Existing data contains all of them.
const KNOWN_HOSTS: [&str; 4] = [
    "ghibliapi.vercel.app",
    "ghibliapi.herokuapp.com",
    "ghibliapi.dev",
    "ghibli.rest",
];

/// The highest number of base URLs that the `url` fields in the data add to the known ones.
const MOST_OWN_NAMES: usize = 8;

/// Fields whose links lead to pictures. The mirror has none.
const PICTURES: [&str; 2] = ["image", "movie_banner"];

/// What to do with links to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// Leave them as they are.
    Verbatim,
    /// Point them at this base URL, which has no trailing slash.
    To(String),
}

impl fmt::Display for Links {
    /// The base URL that links lead to, or `upstream`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Verbatim => "upstream",
            Self::To(base) => base,
        })
    }
}

impl Links {
    /// Points the links in a snapshot's records where they should lead. Only a whole value counts as
    /// a link. Links inside longer text, links to other hosts and links to pictures stay unchanged.
    pub fn rewrite(&self, snapshot: &mut Snapshot) {
        let Self::To(base) = self else { return };
        let names = Names::of(snapshot);
        for collection in Collection::ALL {
            for record in &mut snapshot.collections[collection].records {
                record.edit(|fields| rewrite_fields(fields, base, &names));
            }
        }
    }
}

fn rewrite_fields(fields: &mut Map<String, Value>, base: &str, names: &Names) {
    fields
        .iter_mut()
        .filter(|(name, _)| !PICTURES.contains(&name.as_str()))
        .for_each(|(_, value)| rewrite(value, base, names));
}

fn rewrite(value: &mut Value, base: &str, names: &Names) {
    match value {
        Value::String(text) => {
            if let Some(path) = names.path(text) {
                *text = format!("{base}{path}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, base, names)),
        Value::Object(fields) => {
            fields
                .values_mut()
                .for_each(|field| rewrite(field, base, names));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The base URLs by which links name the upstream: the configured one, the known ones, and those
/// in the data's own `url` fields. The API has moved before, and its data still had old URLs.
struct Names(Vec<Name>);

/// One base URL of the upstream.
struct Name {
    host: String,
    /// The prefix of its paths: the upstream of a mirror may be another mirror below a path.
    prefix: String,
}

impl Names {
    fn of(snapshot: &Snapshot) -> Self {
        let mut names = Self::known(&snapshot.upstream);
        names.add_own(snapshot);
        names
    }

    /// The configured base URL and the known ones.
    fn known(url: &str) -> Self {
        let (host, path) = host_and_path(url).unwrap_or((url, ""));
        let configured = Name::new(host, path.trim_end_matches('/'));
        let known = KNOWN_HOSTS.map(|host| Name::new(host, ""));
        Self([configured].into_iter().chain(known).collect())
    }

    /// Adds the base URL before `/{collection}/{id}` in the `url` of the record with that id.
    fn add_own(&mut self, snapshot: &Snapshot) {
        let most = self.0.len() + MOST_OWN_NAMES;
        for collection in Collection::ALL {
            for record in snapshot.records(collection) {
                let url = record.fields().get("url").and_then(Value::as_str);
                let name = url.and_then(|url| own_name(url, collection, record.id()));
                if let Some((host, prefix)) = name
                    && self.0.len() < most
                    && !self.0.iter().any(|known| known.is(host, prefix))
                {
                    self.0.push(Name::new(host, prefix));
                }
            }
        }
    }

    /// The path and query of a link to something that the mirror also has; `None` for any other
    /// text.
    fn path<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (host, path) = host_and_path(text)?;
        if path.contains(char::is_whitespace) {
            return None;
        }
        let mut named = self.0.iter().filter(|name| is_same_host(&name.host, host));
        named.find_map(|name| {
            path.strip_prefix(name.prefix.as_str())
                .filter(|rest| is_served(rest))
        })
    }
}

impl Name {
    fn new(host: &str, prefix: &str) -> Self {
        Self {
            host: host.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    fn is(&self, host: &str, prefix: &str) -> bool {
        is_same_host(&self.host, host) && self.prefix == prefix
    }
}

/// The host and the prefix of the upstream's base URL in a record's own `url`.
fn own_name<'a>(url: &'a str, collection: Collection, id: &str) -> Option<(&'a str, &'a str)> {
    let (host, path) = host_and_path(url)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = path.strip_suffix(id)?.strip_suffix('/')?;
    let prefix = path.strip_suffix(collection.name())?.strip_suffix('/')?;
    Some((host, prefix))
}

/// Whether a path leads to the root, to a collection or below one, or to `/db`; not to a picture on
/// the upstream's host.
fn is_served(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return path.is_empty() || path.starts_with(['?', '#']);
    };
    let segment = rest.split(['/', '?', '#']).next().unwrap_or_default();
    segment.is_empty() || segment == "db" || segment.parse::<Collection>().is_ok()
}

/// A host with `www.` is the same as the host without it.
fn is_same_host(one: &str, other: &str) -> bool {
    fn bare(host: &str) -> &str {
        match host.get(..4) {
            Some(www) if www.eq_ignore_ascii_case("www.") => &host[4..],
            _ => host,
        }
    }
    bare(one).eq_ignore_ascii_case(bare(other))
}

/// The host of an HTTP URL (with its port, unless that is the default), and everything after it.
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
    fn links_to_the_upstream_are_distinguished_from_other_text() {
        let upstream = Names::known("http://localhost:4000");
        let path = |text| upstream.path(text);
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
        assert_eq!(path("https://ghibliapi.dev/Films/1"), Some("/Films/1"));
        assert_eq!(path("http://www.ghibliapi.dev/films"), Some("/films"));
        assert_eq!(path("https://ghibli.rest/films?id=1"), Some("/films?id=1"));
        for other in [
            "https://image.tmdb.org/t/p/1.jpg",
            "https://image.tmdb.org/films/1",
            "https://www.imdb.example/people/1",
            "https://ghibliapi.vercel.app/images/1.jpg",
            "http://localhost:4000/images/films/1.jpg",
            "https://ghibliapi.vercel.app:80/films/1",
            "htps://ghibliapi.vercel.app/films/1",
            "https://ghibliapi.vercel.app.evil.example/films/1",
            "https://evil.example@ghibliapi.dev.evil.example/films/1",
            "see https://ghibliapi.vercel.app/films/1",
            "https://ghibliapi.vercel.app/ has the films",
            "TODO",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }

    #[test]
    fn links_to_an_upstream_below_a_path_lose_it() {
        let upstream = Names::known("https://api.example/ghibli/");
        let path = |text| upstream.path(text);
        assert_eq!(path("https://api.example/ghibli/films/1"), Some("/films/1"));
        assert_eq!(path("https://api.example/ghibli"), Some(""));
        assert_eq!(path("https://api.example/ghibli-2/films/1"), None);
        assert_eq!(path("https://api.example/films/1"), None);
        assert_eq!(path("https://ghibliapi.vercel.app/db"), Some("/db"));
    }

    #[test]
    fn a_record_says_what_the_upstream_calls_itself() {
        let name = |url| own_name(url, Collection::Films, "7");
        assert_eq!(
            name("https://new.example/films/7"),
            Some(("new.example", ""))
        );
        assert_eq!(
            name("http://new.example:8000/api/v2/films/7/"),
            Some(("new.example:8000", "/api/v2"))
        );
        for other in [
            "https://new.example/people/7",
            "https://new.example/films/17",
            "https://new.example/films/",
            "https://new.example/myfilms/7",
            "/films/7",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
