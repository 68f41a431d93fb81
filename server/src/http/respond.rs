//! One HTTP answer from a body: conditional requests, content coding, and the headers that every
//! answer has (RFC 9110, sections 12.5.3 and 13).

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, AGE, ALLOW,
    CACHE_CONTROL, CACHE_STATUS, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use shared::catalogue::status::Status;

use crate::http::security_headers;
use crate::query::BadQuery;
use crate::render::Body;

/// The methods that exist here.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// After how many seconds the client should ask again when there is no answer yet.
const RETRY_SOON: HeaderValue = HeaderValue::from_static("2");

/// The highest `Age`, in seconds; the server sends a higher one as this (RFC 9111, section 1.2.2).
/// The time of the last sync comes from another machine's clock, which may be wrong.
const OLDEST: i64 = 1 << 31;

/// How many codings a client may list; browsers list five.
const MOST_CODINGS: usize = 32;

/// The headers that scripts on other origins may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Age, Cache-Status, ETag, Link, Retry-After, Server-Timing, X-Total-Count",
);

/// Answers with a body, or with 304 when the client already has it.
pub fn with_body(status: StatusCode, body: &Body, request: &HeaderMap) -> Response<Bytes> {
    let known = status == StatusCode::OK && has_already(request, &body.etag);
    let mut response = empty(if known {
        StatusCode::NOT_MODIFIED
    } else {
        status
    });
    let headers = response.headers_mut();
    headers.insert(ETAG, body.etag.clone());
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(moment) = body.last_modified {
        // This time comes from the poller's clock. It must not be later than `Date`, which comes
        // from this machine's clock (RFC 9110, section 8.8.2.1).
        headers.insert(LAST_MODIFIED, http_date(moment.min(Utc::now())));
    }
    security_headers::protect(headers, body.content_type);
    if known {
        return response;
    }
    let (coding, bytes) = negotiate(request, body);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    *response.body_mut() = bytes;
    response
}

/// Adds the age of the data: how long ago a sync last confirmed it (`Age`, RFC 9111), and when the
/// next sync is due (`Cache-Status`, RFC 9211; a negative `ttl` means overdue).
pub fn aged(mut response: Response<Bytes>, status: Option<&Status>) -> Response<Bytes> {
    let now = Utc::now();
    let headers = response.headers_mut();
    let confirmed_at = status.and_then(Status::confirmed_at);
    if let Some(moment) = confirmed_at {
        headers.insert(AGE, (now - moment).num_seconds().clamp(0, OLDEST).into());
    }
    let ttl = status
        .and_then(|status| status.next_attempt_at)
        .map(|next| (next - now).num_seconds());
    let ttl = ttl
        .map(|seconds| format!("; ttl={seconds}"))
        .unwrap_or_default();
    let detail = if confirmed_at.is_some() {
        ""
    } else {
        "; detail=built-in"
    };
    let cache_status = HeaderValue::try_from(format!("ghibli-mirror; hit{ttl}{detail}"));
    headers.insert(CACHE_STATUS, cache_status.expect("is ASCII"));
    response
}

/// Redirects to another path.
pub fn redirect(location: HeaderValue) -> Response<Bytes> {
    let mut response = empty(StatusCode::FOUND);
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    // Set here, because the HTTP library adds it to GET and not to HEAD.
    headers.insert(CONTENT_LENGTH, 0.into());
    response
}

/// The upstream's answer for everything that it does not have.
pub fn not_found(request: &HeaderMap) -> Response<Bytes> {
    let body = Body::uncompressed("application/json; charset=utf-8", "{}");
    with_body(StatusCode::NOT_FOUND, &body, request)
}

/// An error in the form of RFC 9457, where the upstream has no good answer.
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
    let mut response = with_body(status, &body, &HeaderMap::new());
    response.headers_mut().remove(ETAG);
    response
}

/// The server has not loaded a snapshot yet.
pub fn not_ready() -> Response<Bytes> {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "no catalogue has been loaded yet; the poller fills the cache at its start",
    )
}

/// The server is computing too many queries. Requests without a query still get their answer.
pub fn busy() -> Response<Bytes> {
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many queries wait to be computed; without a query the answer is ready",
    )
}

/// A temporary problem: the answer says when to ask again.
pub fn later(status: StatusCode, detail: &str) -> Response<Bytes> {
    let mut response = problem(status, detail);
    response.headers_mut().insert(RETRY_AFTER, RETRY_SOON);
    response
}

/// A method that the server does not support.
pub fn not_allowed() -> Response<Bytes> {
    let detail = "this is a read-only mirror: use GET, HEAD or OPTIONS";
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, detail);
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

/// The answer to OPTIONS on any path, a CORS preflight included.
pub fn options() -> Response<Bytes> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A date in the format of HTTP (RFC 9110, section 5.6.7).
fn http_date(moment: DateTime<Utc>) -> HeaderValue {
    let text = moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::try_from(text).expect("is ASCII")
}

/// Whether `If-None-Match` names this tag by weak comparison, or is `*`, which means any tag. A
/// request with `Cache-Control: no-cache` gets the body in any case.
fn has_already(request: &HeaderMap, etag: &HeaderValue) -> bool {
    fn opaque(tag: &str) -> &str {
        tag.strip_prefix("W/").unwrap_or(tag)
    }
    let directives = || list(request, &CACHE_CONTROL, Quoted::Text);
    let tags = || list(request, &IF_NONE_MATCH, Quoted::Tag);
    let wants_all = directives().any(|it| it.eq_ignore_ascii_case("no-cache"));
    let ours = opaque(etag.to_str().unwrap_or_default());
    // In a list with other tags, `*` has no meaning (RFC 9110, section 13.1.2).
    !wants_all && (tags().eq(["*"]) || tags().any(|tag| opaque(tag) == ours))
}

/// Chooses the form that the client prefers; among equals, the smallest. A client that accepts no
/// form gets the plain body.
fn negotiate(request: &HeaderMap, body: &Body) -> (Option<&'static str>, Bytes) {
    let forms = [
        (Some("br"), body.brotli.as_ref()),
        (Some("gzip"), body.gzip.as_ref()),
        (None, Some(&body.identity)),
    ];
    let offers = forms
        .into_iter()
        .filter_map(|(coding, form)| Some((coding, form?)));
    let liked = offers.map(|(coding, form)| (quality(request, coding), coding, form));
    // The first of equals wins: forms are in order of size.
    let best = liked.reduce(|best, next| if next.0 > best.0 { next } else { best });
    match best {
        Some((quality, coding, form)) if quality > 0 => (coding, form.clone()),
        _ => (None, body.identity.clone()),
    }
}

/// The client's preference for a coding, in thousandths. `identity` is acceptable unless refused.
fn quality(request: &HeaderMap, coding: Option<&str>) -> u16 {
    let mut any = None;
    for offer in list(request, &ACCEPT_ENCODING, Quoted::Text).take(MOST_CODINGS) {
        let (name, parameters) = offer.split_once(';').unwrap_or((offer, ""));
        let weight = parameters.split(';').find_map(weight).unwrap_or(1000);
        let (name, wanted) = (name.trim(), coding.unwrap_or("identity"));
        let gzip_by_its_old_name = name.eq_ignore_ascii_case("x-gzip") && wanted == "gzip";
        if name.eq_ignore_ascii_case(wanted) || gzip_by_its_old_name {
            return weight;
        }
        if name == "*" {
            any = Some(weight);
        }
    }
    // Not listed: the client does not accept a compressed form, and the plain one comes last.
    any.unwrap_or(u16::from(coding.is_none()))
}

fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let weight = value.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "is within 0..=1000"
    )]
    Some((weight * 1000.0).round() as u16)
}

/// The kind of text between quotes in a header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoted {
    /// An entity tag, in which a backslash is an ordinary character (RFC 9110, section 8.8.3).
    Tag,
    /// Text, in which a backslash escapes the next character (section 5.6.4).
    Text,
}

/// The comma-separated items of a header, over all its lines. A comma between quotes is part of its
/// item; an unclosed quote reaches to the end of its line.
fn list<'a>(
    request: &'a HeaderMap,
    name: &HeaderName,
    quoted: Quoted,
) -> impl Iterator<Item = &'a str> {
    let lines = request
        .get_all(name)
        .into_iter()
        .filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    lines
        .flat_map(move |line| {
            let (mut in_quotes, mut after_backslash) = (false, false);
            line.split(move |character| {
                let is_literal = std::mem::take(&mut after_backslash);
                match character {
                    _ if is_literal => {}
                    '"' => in_quotes = !in_quotes,
                    '\\' => after_backslash = in_quotes && quoted == Quoted::Text,
                    ',' => return !in_quotes,
                    _ => {}
                }
                false
            })
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use shared::catalogue::PerCollection;
    use shared::catalogue::snapshot::FORMAT;
    use shared::catalogue::status::Confirmation;

    use super::*;

    fn chosen(accept: &str) -> &'static str {
        let body = Body::new("text/plain", "Totoro ".repeat(1000));
        let mut request = HeaderMap::new();
        if !accept.is_empty() {
            request.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        }
        negotiate(&request, &body).0.unwrap_or("identity")
    }

    #[test]
    fn the_best_liked_form_is_chosen() {
        for (accept, coding) in [
            ("", "identity"),
            ("gzip", "gzip"),
            ("gzip, deflate, br", "br"),
            ("gzip;q=1.0, br;q=0.5", "gzip"),
            ("br;q=0, gzip;q=0", "identity"),
            ("*", "br"),
            ("*;q=0.5, gzip", "gzip"),
            ("identity;q=0, gzip;q=0.1", "gzip"),
            ("identity", "identity"),
            ("identity, gzip;q=0.5", "identity"),
            ("identity;q=0", "identity"),
            ("GZIP", "gzip"),
            ("x-gzip", "gzip"),
            ("deflate", "identity"),
            ("gzip;q=nonsense", "identity"),
        ] {
            assert_eq!(chosen(accept), coding, "Accept-Encoding: {accept}");
        }
        let many = |unknown| "x, ".repeat(unknown) + "gzip";
        assert_eq!(chosen(&many(MOST_CODINGS - 1)), "gzip");
        assert_eq!(chosen(&many(MOST_CODINGS)), "identity");
    }

    #[test]
    fn a_known_tag_is_told_in_every_spelling() {
        let etag = HeaderValue::from_static("W/\"2-abc\"");
        let told = |value: &str, cache_control: &str| {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, value.parse().unwrap());
            request.insert(CACHE_CONTROL, cache_control.parse().unwrap());
            has_already(&request, &etag)
        };
        for tag in ["W/\"2-abc\"", "\"2-abc\"", "*", "\"x\", W/\"2-abc\""] {
            assert!(told(tag, "max-age=0"), "{tag}");
            assert!(!told(tag, "no-cache"), "{tag}");
        }
        assert!(!told("W/\"other\"", "max-age=0"));
    }

    #[test]
    fn a_comma_between_quotes_separates_nothing() {
        let etag = HeaderValue::from_static("W/\"2-abc\"");
        let has = |lines: &[&'static str], cache_control: &'static str| {
            let mut request = HeaderMap::new();
            for line in lines {
                request.append(IF_NONE_MATCH, HeaderValue::from_static(line));
            }
            request.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
            has_already(&request, &etag)
        };
        for lines in [
            &["\"a,b\", \"2-abc\""][..],
            &["\"x\"", "W/\"y\",W/\"2-abc\""],
            // In a tag a backslash escapes nothing.
            &["\"x\\\", \"2-abc\""],
            &["\"\", ,, \"2-abc\""],
            &[" * "],
        ] {
            assert!(has(lines, "max-age=0"), "{lines:?}");
        }
        for lines in [
            &["\"a,*,b\""][..],
            &["\"a, W/\"2-abc\", b\""],
            &["\"x\", *"],
            &["*", "\"x\""],
            &["*, *"],
            &["W/*"],
            &["\"x, \"2-abc\""],
            &["\"2-abc"],
            &["2-abc"],
            &["w/\"2-abc\""],
            &["\"x\" \"2-abc\""],
        ] {
            assert!(!has(lines, "max-age=0"), "{lines:?}");
        }
        for directives in ["no-cache", "max-age=0, No-Cache", "x=\"a\\\"\", no-cache"] {
            assert!(!has(&["*"], directives), "{directives}");
        }
        for directives in [
            "x=\"a, no-cache, b\"",
            "x=\"a\\\", no-cache, b\"",
            "no-cached",
        ] {
            assert!(has(&["*"], directives), "{directives}");
        }
        assert_eq!(chosen("x;y=\"a, gzip, b\""), "identity");
    }

    #[test]
    fn no_clock_but_this_ones_shows_in_the_dates() {
        let now = Utc::now();
        let ahead = now + chrono::Duration::hours(1);
        let body = Body::uncompressed("text/plain", "x").modified_at(ahead);
        let answer = with_body(StatusCode::OK, &body, &HeaderMap::new());
        let modified = answer.headers()[LAST_MODIFIED].to_str().unwrap();
        let modified = DateTime::parse_from_rfc2822(modified).unwrap();
        assert!(modified <= Utc::now() && modified.timestamp() >= now.timestamp());

        let age = |confirmed_at: &str| {
            let confirmed_at: DateTime<Utc> = confirmed_at.parse().unwrap();
            let status = Status {
                format: FORMAT,
                generation: 1,
                started_at: now,
                finished_at: now,
                next_attempt_at: None,
                last_success_at: None,
                failures_in_a_row: 0,
                collections: PerCollection::from_fn(|_| Confirmation {
                    confirmed_at: Some(confirmed_at),
                    failure: None,
                    ..Confirmation::default()
                }),
            };
            let answer = aged(Response::default(), Some(&status));
            answer.headers()[AGE].to_str().unwrap().to_owned()
        };
        assert_eq!(age(&ahead.to_rfc3339()), "0");
        assert_eq!(age("0001-01-01T00:00:00Z"), "2147483648");
    }
}
