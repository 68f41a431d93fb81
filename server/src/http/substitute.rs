//! Error pages: what a browser gets in place of an error in JSON, where people look for a page.
//!
//! Decides by path and `Accept`. API clients accept anything or JSON, and get what they always got.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use shared::catalogue::Collection;
use warp::reply::Reply;

use crate::http::fields::{Quoted, list};
use crate::http::heads::PLAIN;
use crate::http::problems::Detail;
use crate::http::respond::with_body;
use crate::pages;
use crate::render::{Body, HTML};

/// Who asks for a path at which an error may be a page.
#[derive(Debug)]
pub(super) struct Reader {
    /// The prefix of every path.
    prefix: Arc<str>,
    is_person: bool,
    /// Whether the path is that of a page; otherwise only a missing one is.
    is_page: bool,
}

impl Reader {
    /// `None` for paths of the API, whose errors never are pages.
    pub(super) fn of<B>(request: &Request<B>, prefix: &Arc<str>) -> Option<Self> {
        let first = request.uri().path().split('/').find(|it| !it.is_empty())?;
        let is_api = first.parse::<Collection>().is_ok() || first.eq_ignore_ascii_case("db");
        (!is_api).then(|| Self {
            prefix: prefix.clone(),
            is_person: prefers_html(request.headers()),
            is_page: first == "movies",
        })
    }

    /// The answer, or the page of its error.
    pub(super) fn page_for(self, answer: warp::reply::Response) -> warp::reply::Response {
        let status = answer.status();
        let is_error = status.is_client_error() || status.is_server_error();
        if !is_error || !(self.is_page || status == StatusCode::NOT_FOUND) {
            return answer;
        }
        let mut answer = if self.is_person {
            error_page(&answer, &self.prefix).into_response()
        } else {
            answer
        };
        let both = HeaderValue::from_static("Accept-Encoding, Accept");
        answer.headers_mut().insert(VARY, both);
        answer
    }
}

fn error_page(answer: &warp::reply::Response, prefix: &str) -> Response<Bytes> {
    let status = answer.status();
    let detail = answer.extensions().get::<Detail>();
    let page = pages::error(prefix, status, detail.map(|it| &*it.0));
    let body = Body::uncompressed(HTML, page);
    let mut page = with_body(status, &body, &HeaderMap::new(), &PLAIN);
    for name in [RETRY_AFTER, ALLOW] {
        if let Some(value) = answer.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

/// Whether a client lists `text/html` before JSON and before anything, as browsers do.
fn prefers_html(request: &HeaderMap) -> bool {
    let kinds = list(request, &ACCEPT, Quoted::Text);
    let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let known = |kind: &&str| {
        let (html, json) = ("text/html", "json");
        kind.eq_ignore_ascii_case(html) || kind.ends_with(json) || kind.ends_with("/*")
    };
    kinds
        .find(known)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_prefer_html_and_api_clients_do_not() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("application/xhtml+xml, Text/HTML;q=0.9", true),
            ("*/*", false),
            ("", false),
            ("application/json, text/html", false),
            ("application/json", false),
            ("application/problem+json,text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn paths_of_the_api_have_no_error_pages() {
        let reader = |path: &str| Reader::of(&Request::get(path).body(()).unwrap(), &"".into());
        for path in ["/films", "/Films/x", "//people/7", "/db", "/"] {
            assert!(reader(path).is_none(), "{path}");
        }
        assert!(reader("/movies/x").unwrap().is_page);
        assert!(!reader("/x").unwrap().is_page);
    }
}
