//! The two forms of the status: a page, and JSON.

use askama::Template;
use chrono::{DateTime, Utc};
use shared::catalogue::PerCollection;

use super::report::{CollectionState, Report};
use super::words::{dated, until};
use crate::render::{Body, HTML, JSON, pretty};

/// In which form a client wants the status.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `/status`.
    Page,
    /// `/status.json`.
    Json,
}

impl Form {
    /// The body, of a mirror whose paths begin with `prefix`.
    pub(crate) fn body(self, report: &Report, prefix: &str) -> Body {
        match self {
            Self::Page => Body::uncompressed(HTML, Page::of(report, prefix)),
            Self::Json => Body::uncompressed(JSON, pretty(report)),
        }
    }
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    prefix: &'a str,
    report: &'a Report,
    /// What is wrong beside what the top says.
    others: Vec<&'a str>,
    collections: Vec<(&'static str, &'a CollectionState)>,
}

impl<'a> Page<'a> {
    fn of(report: &'a Report, prefix: &'a str) -> String {
        let collections = report.collections.iter().flat_map(PerCollection::iter);
        let troubles = report.troubles.iter().skip(1);
        let page = Self {
            prefix,
            report,
            others: troubles.map(|one| one.sentence.as_str()).collect(),
            collections: collections
                .map(|(one, state)| (one.name(), state))
                .collect(),
        };
        page.render().expect("templates write to memory")
    }

    fn dated(&self, at: &DateTime<Utc>) -> String {
        dated(*at, self.report.at)
    }

    fn until(&self, at: &DateTime<Utc>) -> String {
        until(*at, self.report.at)
    }
}
