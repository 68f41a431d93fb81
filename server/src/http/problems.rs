//! Errors in the form of RFC 9457, where the upstream has no good answer.

use bytes::Bytes;
use http::header::{ALLOW, ETAG, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use crate::http::heads::PLAIN;
use crate::http::respond::{METHODS, with_body};
use crate::query::BadQuery;
use crate::render::Body;

/// After how many seconds the client should ask again when there is no answer yet.
pub const RETRY_SOON: u32 = 2;

/// What a problem says, kept beside the answer for the page that a person gets in its place.
#[derive(Clone, Debug)]
pub(super) struct Detail(pub(super) String);

/// A problem with a sentence about it.
pub fn problem(status: StatusCode, detail: &str) -> Response<Bytes> {
    problem_with(status, &serde_json::json!({"detail": detail}))
}

/// A query that the server cannot answer; the problem names the parameter.
pub fn bad_query(bad: &BadQuery) -> Response<Bytes> {
    bad_parameter(bad.parameter(), &bad.to_string())
}

/// A faulty parameter of the query or the path, by its name.
pub fn bad_parameter(parameter: &str, detail: &str) -> Response<Bytes> {
    let members = serde_json::json!({"detail": detail, "parameter": parameter});
    problem_with(StatusCode::BAD_REQUEST, &members)
}

fn problem_with(status: StatusCode, members: &serde_json::Value) -> Response<Bytes> {
    let title = status.canonical_reason();
    let mut body = serde_json::json!({"title": title, "status": status.as_u16()});
    for (name, value) in members.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let body = Body::uncompressed("application/problem+json", format!("{body:#}"));
    let mut response = with_body(status, &body, &HeaderMap::new(), &PLAIN);
    response.headers_mut().remove(ETAG);
    if let Some(detail) = members["detail"].as_str() {
        response.extensions_mut().insert(Detail(detail.to_owned()));
    }
    response
}

/// The server has not loaded a snapshot yet.
pub fn not_ready() -> Response<Bytes> {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "no catalogue has been loaded yet; the poller fills the cache at its start",
        RETRY_SOON,
    )
}

/// The server is computing too many queries. Requests without a query still get their answer.
pub fn busy() -> Response<Bytes> {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many queries wait to be computed; without a query the answer is ready",
        RETRY_SOON,
    )
}

/// A temporary problem: the answer says after how many seconds to ask again.
pub fn later(status: StatusCode, detail: &str, seconds: u32) -> Response<Bytes> {
    let mut response = problem(status, detail);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

/// A method that the server does not support.
pub fn not_allowed() -> Response<Bytes> {
    let detail = "this is a read-only mirror: use GET, HEAD or OPTIONS";
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, detail);
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

/// Answers after a bug in the server. The panic itself is already in the log.
pub fn broken() -> Response<Bytes> {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this should not have happened",
    )
}
