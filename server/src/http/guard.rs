//! The service that a listener calls: it refuses what no route may see, hands the routes what they
//! need of a request, and answers when a route panics. It leads `/events` past the routes.
//!
//! Owns methods, and the slashes that the upstream ignores: one more after the name of a collection,
//! and any at the root. Knows no other paths.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::Body;
use hyper::service::Service;
use shared::catalogue::Collection;
use shared::service::http::Malformed;
use tower_service::Service as _;
use warp::reply::Reply;

use crate::config::prefix;
use crate::http::handlers::{Setup, Target};
use crate::http::routes::routes;
use crate::http::{problems, respond, stream, substitute};
use crate::publish::Published;

type BoxError = Box<dyn Error + Send + Sync>;

/// The whole mirror as a service: the guard, then the routes. The service never reads request
/// bodies, so it accepts any body type, from a socket or from a test.
pub fn service<B: Body + Send + 'static>(
    published: Published,
    setup: Setup,
) -> impl Service<
    Request<B>,
    Response = Response<
        impl Body<Data = Bytes, Error: Into<BoxError> + Debug> + Send + Unpin + 'static,
    >,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let (server_timing, events) = (setup.server_timing, setup.events.clone());
    let prefix: Arc<str> = prefix(&setup.base).into();
    let routes = warp::service(routes(published, setup));
    hyper::service::service_fn(move |request: Request<B>| {
        let (mut routes, events) = (routes.clone(), events.clone());
        let reader = substitute::Reader::of(&request, &prefix);
        async move {
            let started = Instant::now();
            let whole = match *request.method() {
                _ if request.extensions().get::<Malformed>().is_some() => {
                    malformed(&request).into_response()
                }
                Method::GET if stream::is_events(request.uri().path()) => {
                    match stream::answer(&request, &events) {
                        Ok(response) => return Ok(response.map(Either::Right)),
                        Err(problem) => (*problem).into_response(),
                    }
                }
                Method::GET | Method::HEAD => {
                    let request = for_routes(request);
                    let answer = AssertUnwindSafe(async move { routes.call(request).await });
                    match answer.catch_unwind().await {
                        Ok(Ok(response)) => response,
                        Err(_) => problems::broken().into_response(),
                    }
                }
                Method::OPTIONS => respond::options().into_response(),
                _ => problems::not_allowed().into_response(),
            };
            let whole = match reader {
                Some(reader) => reader.page_for(whole),
                None => whole,
            };
            let mut response = whole.map(Either::Left);
            if server_timing {
                let took = format!("app;dur={:.3}", started.elapsed().as_secs_f64() * 1000.0);
                let took = HeaderValue::try_from(took).expect("is ASCII");
                response.headers_mut().insert("server-timing", took);
            }
            Ok(response)
        }
    })
}

/// Answers a request whose first line cannot be parsed.
fn malformed<B>(request: &Request<B>) -> Response<Bytes> {
    let why = request.extensions().get::<Malformed>();
    let why = why.map(ToString::to_string).unwrap_or_default();
    problems::problem(StatusCode::BAD_REQUEST, &why)
}

/// Reduces a request to what the routes need. They copy the header fields, and most requests have
/// many that decide nothing.
fn for_routes<B>(request: Request<B>) -> Request<Empty<Bytes>> {
    let (mut parts, _) = request.into_parts();
    let mut headers = HeaderMap::new();
    for name in [ACCEPT_ENCODING, IF_NONE_MATCH, CACHE_CONTROL] {
        for value in parts.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    parts.headers = headers;
    if let Some(query) = parts.uri.query()
        && !query.is_empty()
    {
        let (path, query) = (parts.uri.path().to_owned(), query.to_owned());
        parts.extensions.insert(Arc::new(Target { path, query }));
    }
    // Without the slashes that the upstream ignores and that warp does not.
    if let Some(fewer) = fewer_slashes(parts.uri.path())
        && let Ok(fewer) = fewer.parse()
    {
        parts.uri = fewer;
    }
    Request::from_parts(parts, Empty::new())
}

/// The root and a collection may be followed by more slashes than one: `//`, `/films//`,
/// `/films//{id}`. `None` if the path is correct already, or does not exist.
fn fewer_slashes(path: &str) -> Option<String> {
    let rest = path.strip_prefix('/')?;
    if !rest.is_empty() && rest.bytes().all(|byte| byte == b'/') {
        return Some("/".to_owned());
    }
    let (collection, rest) = rest.split_once("//")?;
    let id = rest.strip_suffix('/').unwrap_or(rest);
    let is_read = collection.parse::<Collection>().is_ok()
        && !id.contains('/')
        && !(id.is_empty() && rest == "/");
    is_read.then(|| format!("/{collection}/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_ignored_where_the_upstream_ignores_them() {
        for (path, fewer) in [
            ("//", "/"),
            ("///", "/"),
            ("/films//", "/films/"),
            ("/Films//", "/Films/"),
            ("/films//7", "/films/7"),
            ("/films//7/", "/films/7/"),
        ] {
            assert_eq!(fewer_slashes(path).as_deref(), Some(fewer), "{path}");
        }
        for path in [
            "/",
            "/films",
            "/films/",
            "/films///",
            "/films//7//",
            "/films//7/people",
            "/films/7//",
            "/films/7//people",
            "//films",
            "//films//",
            "/db//",
            "/movies//",
            "*",
            "",
        ] {
            assert_eq!(fewer_slashes(path), None, "{path}");
        }
    }
}
