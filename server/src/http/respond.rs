//! One HTTP answer from a body: its status, and the fields that describe the body.

use std::sync::LazyLock;

use bytes::Bytes;
use chrono::Utc;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION,
    VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::http::conditional::has_already;
use crate::http::heads::{Heads, PLAIN};
use crate::http::negotiation::negotiate;
use crate::http::security_headers;
use crate::render::{Body, JSON};

/// The methods that exist here.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The upstream's answer for everything that it does not have.
pub(super) static NOTHING: LazyLock<Body> = LazyLock::new(|| Body::uncompressed(JSON, "{}"));

/// Answers with a body, or with 304 when the client already has it.
pub fn with_body(
    status: StatusCode,
    body: &Body,
    request: &HeaderMap,
    heads: &Heads,
) -> Response<Bytes> {
    let is_known = status == StatusCode::OK && has_already(request, &body.etag);
    let mut response = if is_known {
        respond(StatusCode::NOT_MODIFIED, &heads.unchanged, Bytes::new())
    } else {
        let (coding, form) = negotiate(request, body);
        let mut response = respond(status, &heads.whole, form.bytes.clone());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        headers.insert(CONTENT_LENGTH, form.length.clone());
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding);
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, body.etag.clone());
    if let Some(modified) = &body.last_modified {
        // This time comes from the poller's clock. It must not be later than `Date`, which comes
        // from this machine's clock (RFC 9110, section 8.8.2.1).
        headers.insert(LAST_MODIFIED, modified.not_after(Utc::now()));
    } else {
        headers.remove(LAST_MODIFIED);
    }
    security_headers::protect(headers, body.content_type);
    response
}

/// Answers with a body that is out of date a second later, so that nobody may keep it.
pub fn for_now(body: &Body) -> Response<Bytes> {
    let mut response = with_body(StatusCode::OK, body, &HeaderMap::new(), &PLAIN);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(ETAG);
    headers.remove(VARY);
    response
}

/// Redirects to another path.
pub fn redirect(location: HeaderValue) -> Response<Bytes> {
    let mut response = respond(StatusCode::FOUND, &PLAIN.empty, Bytes::new());
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    // Set here, because the HTTP library adds it to GET and not to HEAD.
    headers.insert(CONTENT_LENGTH, 0.into());
    response
}

/// The answer for a path that does not exist.
pub fn not_found(request: &HeaderMap) -> Response<Bytes> {
    with_body(StatusCode::NOT_FOUND, &NOTHING, request, &PLAIN)
}

/// The answer to OPTIONS on any path, a CORS preflight included.
pub fn options() -> Response<Bytes> {
    let mut response = respond(StatusCode::NO_CONTENT, &PLAIN.empty, Bytes::new());
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn respond(status: StatusCode, head: &HeaderMap, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = head.clone();
    response
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn no_clock_but_this_ones_shows_in_the_dates() {
        let now = Utc::now();
        for (moment, shown) in [
            (now + TimeDelta::hours(1), now),
            (now - TimeDelta::hours(1), now - TimeDelta::hours(1)),
            (DateTime::<Utc>::MIN_UTC, DateTime::UNIX_EPOCH),
        ] {
            let body = Body::uncompressed("text/plain", "x").modified_at(moment);
            let answer = with_body(StatusCode::OK, &body, &HeaderMap::new(), &PLAIN);
            let modified = answer.headers()[LAST_MODIFIED].to_str().unwrap();
            let modified = DateTime::parse_from_rfc2822(modified).unwrap();
            let apart = modified.timestamp() - shown.timestamp();
            assert!((0..=5).contains(&apart), "{moment}: {modified}");
        }
    }
}
