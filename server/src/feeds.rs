//! News for machines: the release log as Atom (RFC 4287), as JSON Feed 1.1, and as `/changes`.
//!
//! Pure. The feeds are rendered once per generation, the newest release first; `/changes` per
//! request, the oldest first, so that a client can go on where it stopped.

use std::borrow::Cow;

use askama::Template;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use shared::catalogue::Collection;
use shared::catalogue::snapshot::{Release, Snapshot};

use crate::render::{Body, JSON, pretty, segment};

/// The content type of Atom.
pub const ATOM: &str = "application/atom+xml; charset=utf-8";

/// The content type of JSON Feed 1.1.
pub const JSON_FEED: &str = "application/feed+json; charset=utf-8";

/// How many releases a feed lists.
const MOST_LISTED: usize = 50;

/// How many releases one answer of `/changes` lists.
const MOST_CHANGES: usize = 1000;

/// The news of one generation.
#[derive(Debug)]
pub struct News {
    /// `/feed.atom`.
    pub atom: Body,
    /// `/feed.json`.
    pub json_feed: Body,
    changes: Vec<Value>,
}

#[derive(Template)]
#[template(path = "feed.xml", escape = "html")]
struct Atom<'a> {
    base: &'a str,
    updated: String,
    entries: Vec<Entry<'a>>,
}

/// A release as a feed shows it.
struct Entry<'a> {
    url: String,
    title: Cow<'a, str>,
    summary: Option<Cow<'a, str>>,
    published: String,
}

impl News {
    /// The news of a mirror that clients know under `base`.
    pub fn render(snapshot: &Snapshot, base: &str) -> Self {
        let newest_first = snapshot.releases.iter().rev().take(MOST_LISTED);
        let entries: Vec<_> = newest_first
            .map(|release| Entry::of(release, snapshot, base))
            .collect();
        // A feed without releases has not changed since the baseline.
        let updated = entries.first().map(|newest| newest.published.clone());
        let updated = updated.unwrap_or_else(|| rfc3339(snapshot.collections.films.as_of));
        let items: Vec<_> = entries.iter().map(Entry::as_json).collect();
        let feed = Atom {
            base,
            updated,
            entries,
        };
        Self {
            json_feed: Body::uncompressed(JSON_FEED, pretty(&json_feed(base, &items))),
            atom: Body::uncompressed(ATOM, feed.render().expect("templates write to memory")),
            changes: snapshot
                .releases
                .iter()
                .map(|release| change(release, base))
                .collect(),
        }
    }

    /// The same news with every body compressed.
    #[must_use]
    pub fn compressed(&self) -> Self {
        Self {
            atom: self.atom.clone().compressed(),
            json_feed: self.json_feed.clone().compressed(),
            changes: self.changes.clone(),
        }
    }

    /// The releases after number `since`, the oldest first. `next` is the number to ask for next.
    pub fn changes(&self, since: u64) -> Body {
        let from = usize::try_from(since).unwrap_or(usize::MAX);
        let changes = self.changes.get(from..).unwrap_or_default();
        let listed = &changes[..changes.len().min(MOST_CHANGES)];
        let next = from.min(self.changes.len()) + listed.len();
        let answer = json!({
            "changes": listed,
            "next": next,
            "latest": self.changes.len(),
        });
        Body::uncompressed(JSON, pretty(&answer))
    }
}

impl<'a> Entry<'a> {
    fn of(release: &'a Release, snapshot: &'a Snapshot, base: &str) -> Self {
        let mut films = snapshot.records(Collection::Films).iter();
        let film = films.find(|film| film.id() == release.id);
        let summary = film.and_then(|film| film.text("description"));
        Self {
            url: url(release, base),
            title: printable(&release.title),
            summary: summary.filter(|text| !text.is_empty()).map(printable),
            published: rfc3339(release.first_seen),
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "id": self.url,
            "url": self.url,
            "title": self.title,
            "content_text": self.summary.as_ref().unwrap_or(&self.title),
            "date_published": self.published,
        })
    }
}

fn json_feed(base: &str, items: &[Value]) -> Value {
    json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": "New films in the Studio Ghibli API",
        "home_page_url": format!("{base}/movies"),
        "feed_url": format!("{base}/feed.json"),
        "language": "en",
        "items": items,
    })
}

/// A release as JSON.
pub(crate) fn change(release: &Release, base: &str) -> Value {
    json!({
        "sequence": release.sequence,
        "id": release.id,
        "title": release.title,
        "first_seen": rfc3339(release.first_seen),
        "url": url(release, base),
    })
}

fn url(release: &Release, base: &str) -> String {
    format!("{base}/movies/{}", segment(&release.id))
}

/// A moment for machines, in whole seconds.
pub(crate) fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Without the characters that XML cannot hold (XML 1.0, section 2.2).
fn printable(text: &str) -> Cow<'_, str> {
    let is_allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    if text.chars().all(is_allowed) {
        text.into()
    } else {
        text.chars().filter(|it| is_allowed(*it)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(releases: u64, title: &str) -> News {
        let mut document: Value = json!({
            "format": 2, "generation": 7, "committed_at": "2026-11-26T00:00:00Z",
            "upstream": "https://ghibliapi.example", "releases": [], "collections": {},
        });
        for collection in Collection::ALL {
            document["collections"][collection.name()] =
                json!({"source": "upstream", "as_of": "2026-11-25T00:00:00Z", "records": []});
        }
        document["collections"]["films"]["records"] =
            json!([{"id": "a/1", "title": title, "description": "Rain & <wind>"}]);
        let release = |sequence| {
            json!({
                "sequence": sequence, "id": if sequence == releases { "a/1" } else { "b" },
                "title": title, "first_seen": format!("2026-11-26T00:00:{:02}Z", sequence % 60),
            })
        };
        document["releases"] = (1..=releases).map(release).collect();
        let snapshot = Snapshot::from_json(document.to_string().as_bytes()).expect("a snapshot");
        News::render(&snapshot, "https://mirror.example/g")
    }

    fn text(body: &Body) -> &str {
        std::str::from_utf8(&body.identity.bytes).expect("UTF-8")
    }

    #[test]
    fn a_feed_shows_the_newest_release_first_and_keeps_its_format_whatever_a_title_says() {
        let news = news(2, "A <b>\u{1} & 'c'");
        insta::assert_snapshot!("atom", text(&news.atom));
        insta::assert_snapshot!("json_feed", text(&news.json_feed));
    }

    #[test]
    fn feeds_have_a_limit_and_exist_without_a_release() {
        let entries = |news: &News| text(&news.atom).matches("<entry>").count();
        assert_eq!(entries(&news(0, "x")), 0);
        assert!(text(&news(0, "x").atom).contains("<updated>2026-11-25T00:00:00Z</updated>"));
        assert_eq!(entries(&news(60, "x")), MOST_LISTED);
    }

    #[test]
    fn changes_go_on_where_a_client_stopped() {
        let news = news(3, "x");
        let answer = |since| serde_json::from_str::<Value>(text(&news.changes(since))).unwrap();
        let sequences = |since| {
            let changes = answer(since)["changes"].as_array().unwrap().clone();
            let numbers = changes
                .iter()
                .map(|change| change["sequence"].as_u64().unwrap());
            (
                numbers.collect::<Vec<_>>(),
                answer(since)["next"].as_u64().unwrap(),
            )
        };
        assert_eq!(sequences(0), (vec![1, 2, 3], 3));
        assert_eq!(sequences(2), (vec![3], 3));
        assert_eq!(sequences(3), (vec![], 3));
        // A client of another mirror, or of one that lost its log, starts again from what there is.
        assert_eq!(sequences(u64::MAX), (vec![], 3));
    }
}
