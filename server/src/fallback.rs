//! The fallback answers for the edge when no reader can: every request gets 503 with `Retry-After`.
//!
//! Needs no cache and has no catalogue. The edge sends requests here while no reader is available.
//! It also fetches the bodies of its own error answers here, and keeps their status.
//!
//! | path | body |
//! |---|---|
//! | `/.edge/429`, `/.edge/500`, `/.edge/502`, `/.edge/504` | the problem of that status |
//! | anything else | no reader is available |
//!
//! A CORS preflight gets a 204: without it, the browser would hide the 503 from the script.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Body;
use hyper::service::{Service, service_fn};
use warp::reply::Reply;

use crate::http::{problems, respond};

/// The service that answers in place of the readers.
pub fn service<B: Body + Send + 'static>()
-> impl Service<Request<B>, Response = warp::reply::Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(|request: Request<B>| ready(Ok(answer(&request).into_response())))
}

fn answer<B>(request: &Request<B>) -> Response<Bytes> {
    let asks_first = request
        .headers()
        .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && asks_first {
        return respond::options();
    }
    let (status, detail) = match request.uri().path() {
        "/.edge/429" => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests are being answered",
        ),
        "/.edge/500" => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "a reader's answer could not be passed on",
        ),
        "/.edge/502" => (StatusCode::BAD_GATEWAY, "no reader gave a whole answer"),
        "/.edge/504" => (StatusCode::GATEWAY_TIMEOUT, "no reader answered in time"),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no reader is there; one that has started answers within seconds",
        ),
    };
    let mut response = problems::later(status, detail, problems::RETRY_SOON);
    // Always 503: the edge replaces the status where the answer is its own.
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[cfg(test)]
mod tests {
    use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, RETRY_AFTER};
    use serde_json::Value;

    use super::*;

    fn ask(method: Method, path: &str) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path).body(());
        answer(&request.unwrap())
    }

    #[test]
    fn whatever_is_asked_is_to_be_asked_again_later() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
            for path in ["/", "/films?title=Ponyo", "/429", "/.edge/429"] {
                let answer = ask(method.clone(), path);
                assert_eq!(answer.status(), 503, "{method} {path}");
                let headers = answer.headers();
                assert!(headers.contains_key(RETRY_AFTER), "{method} {path}");
                assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
                assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
            }
        }
        let preflight = Request::options("/films").header(ACCESS_CONTROL_REQUEST_METHOD, "GET");
        assert_eq!(answer(&preflight.body(()).unwrap()).status(), 204);
    }

    #[test]
    fn the_edges_own_answers_get_the_problem_of_their_status() {
        for status in [429, 500, 502, 504] {
            let body = ask(Method::GET, &format!("/.edge/{status}")).into_body();
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["status"], status);
        }
        let body = ask(Method::GET, "/.edge/200").into_body();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
