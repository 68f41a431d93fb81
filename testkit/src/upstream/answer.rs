//! Makes a response from a request and the catalogue, as json-server under Express does.
//!
//! Faults come first; [`super::fault`] describes how they look.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use serde_json::Value;

use super::State;
use super::fault;
use crate::sample::{COLLECTIONS, express_etag};

/// A response's body. It fails where a fault breaks the connection.
pub(super) type Body = BoxBody<Bytes, std::io::Error>;

/// `Content-Type` of everything but the HTML fault.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// The real API does not compress smaller bodies.
const COMPRESSED_FROM: usize = 1024;

/// What a path names.
pub(super) enum Target<'a> {
    Everything,
    Collection(&'static str),
    Record(&'static str, &'a str),
    Nothing,
}

impl<'a> Target<'a> {
    fn of(path: &'a str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let (first, rest) = path
            .split_once('/')
            .map_or((path, None), |(a, b)| (a, Some(b)));
        let collection = COLLECTIONS
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(first));
        match (collection, rest) {
            (Some(collection), None) => Self::Collection(collection),
            (Some(collection), Some(id)) => Self::Record(collection, id),
            (None, None) if first == "db" => Self::Everything,
            (None, _) => Self::Nothing,
        }
    }

    pub(super) fn collection(&self) -> Option<&'static str> {
        match self {
            Self::Collection(collection) | Self::Record(collection, _) => Some(collection),
            Self::Everything | Self::Nothing => None,
        }
    }

    /// The part of the catalogue that the path names.
    pub(super) fn find(&self, catalogue: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Everything => Some(catalogue),
            Self::Collection(collection) => catalogue.get(collection),
            Self::Record(collection, id) => catalogue[collection]
                .as_array()?
                .iter()
                .find(|record| has_id(record, id)),
            Self::Nothing => None,
        }
    }
}

/// Whether a record has this id; the record's id is a string or an integer.
pub(super) fn has_id(record: &Value, id: &str) -> bool {
    match &record["id"] {
        Value::String(text) => text == id,
        Value::Number(number) => number.to_string() == id,
        _ => false,
    }
}

/// Answers one request; an error breaks the connection.
pub(super) async fn answer<B>(
    state: &Arc<State>,
    request: &Request<B>,
    wants_reset: &Arc<AtomicBool>,
) -> Result<Response<Body>, std::io::Error> {
    state.journal.request(request);
    let target = Target::of(request.uri().path());
    let fault = state.faults().on(target.collection());
    if let Some(fault) = fault {
        return fault::answer(state, request, &target, fault, wants_reset).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(plain(state, request, StatusCode::NOT_FOUND, JSON, "{}"));
    }
    let text = target.find(&state.catalogue()).map(pretty);
    Ok(match text {
        Some(text) => plain(state, request, StatusCode::OK, JSON, &text),
        None => plain(state, request, StatusCode::NOT_FOUND, JSON, "{}"),
    })
}

/// Formats a value as `JSON.stringify(value, null, 2)` does.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can be written")
}

/// A complete answer: with a validator, 304 if it matches, and compression if the client accepts
/// it.
pub(super) fn plain<B>(
    state: &State,
    request: &Request<B>,
    status: StatusCode,
    content_type: &str,
    text: &str,
) -> Response<Body> {
    let etag = express_etag(text);
    let response = Response::builder()
        .header("X-Powered-By", "Express")
        .header(VARY, "Origin, Accept-Encoding")
        .header(CACHE_CONTROL, "no-cache")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(ETAG, &etag);

    if status.is_success() && is_fresh(request.headers(), &etag) {
        state.journal.count(|counts| counts.not_modified += 1);
        return finish(response.status(StatusCode::NOT_MODIFIED), empty());
    }

    let response = response.status(status).header(CONTENT_TYPE, content_type);
    let compressed =
        text.len() >= COMPRESSED_FROM && mentions(request.headers(), &ACCEPT_ENCODING, "gzip");
    let (response, bytes) = if compressed {
        (
            response.header(CONTENT_ENCODING, "gzip"),
            gzip(text.as_bytes()),
        )
    } else {
        (response, text.as_bytes().to_vec())
    };
    let response = response.header(CONTENT_LENGTH, bytes.len());
    if request.method() == Method::HEAD {
        return finish(response, empty());
    }
    state.journal.body_bytes(bytes.len());
    finish(
        response,
        Full::new(Bytes::from(bytes))
            .map_err(|never| match never {})
            .boxed(),
    )
}

pub(super) fn finish(response: http::response::Builder, body: Body) -> Response<Body> {
    response
        .body(body)
        .expect("the stand-in's headers are valid")
}

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// Freshness as Express defines it: weak comparison, `*` always matches, `no-cache` never does.
fn is_fresh(headers: &HeaderMap, etag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    !mentions(headers, &CACHE_CONTROL, "no-cache")
        && values(headers, &IF_NONE_MATCH).any(|tag| tag.trim() == "*" || weak(tag) == weak(etag))
}

fn mentions(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    values(headers, name).any(|value| {
        value
            .split(';')
            .next()
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
    })
}

/// The comma-separated values of a header.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("compressing into memory does not fail")
}
