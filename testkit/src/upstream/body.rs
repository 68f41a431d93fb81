//! Responses as json-server under Express makes them: validator, freshness and compression.

use std::io::Write as _;

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

use super::state::State;
use crate::sample::express_etag;

/// A response's body. It fails where a fault breaks the connection.
pub(super) type Body = BoxBody<Bytes, std::io::Error>;

/// `Content-Type` of everything but the HTML fault.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// The real API does not compress smaller bodies.
const COMPRESSED_FROM: usize = 1024;

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
