//! Paths, as a warp filter, and the guard that stands before it.
//!
//! | path | answers |
//! |---|---|
//! | `/` | leads to `/movies` |
//! | `/movies` | HTML for people |
//! | `/films`, `/people`, `/locations`, `/species`, `/vehicles` | a collection |
//! | `/{collection}/{id}` | a record |
//! | `/db` | all five collections |
//! | `/style.css`, `/icon.svg` | what the page needs |
//! | anything else | 404 `{}` |
//!
//! Everything is answered from memory. Names of collections are read without regard to case, and
//! one trailing slash is ignored, as the upstream does.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;
use percent_encoding::percent_decode_str;
use shared::catalogue::Collection;
use tower_service::Service as _;
use warp::Filter;
use warp::reply::Reply;

use crate::pages::STYLE;
use crate::publish::{Published, View};
use crate::render::Body;
use crate::respond;

/// Nothing but the stylesheet and the icon of this origin.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// The whole mirror as a service: the guard, then the routes.
pub fn service(
    published: Published,
) -> impl Service<Request<Incoming>, Response = warp::reply::Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let routes = warp::service(routes(published));
    hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut routes = routes.clone();
        async move {
            Ok(match *request.method() {
                Method::GET | Method::HEAD => {
                    let answer = AssertUnwindSafe(async move { routes.call(request).await });
                    match answer.catch_unwind().await {
                        Ok(Ok(response)) => response,
                        Err(_) => broken().into_response(),
                    }
                }
                Method::OPTIONS => respond::options().into_response(),
                _ => respond::not_allowed().into_response(),
            })
        }
    })
}

/// A mistake of ours. The panic itself has been logged.
fn broken() -> Response<Bytes> {
    respond::problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this should not have happened",
    )
}

fn routes(
    published: Published,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Infallible> + Clone {
    let view = warp::any().map(move || published.load_full());
    let headers = warp::header::headers_cloned();
    let context = view.and(headers);
    let style = Body::new("text/css; charset=utf-8", STYLE);
    let icon = Body::new("image/svg+xml", include_str!("../templates/icon.svg"));

    let root = warp::path::end()
        .map(|| respond::redirect("/movies"))
        .boxed();
    let movies = warp::path("movies")
        .and(warp::path::end())
        .and(context.clone())
        .map(movies)
        .boxed();
    let style = asset("style.css", style);
    let icon = asset("icon.svg", icon);
    let db = warp::path::param()
        .and_then(async |name: String| named(&name, "db"))
        .untuple_one()
        .and(warp::path::end())
        .and(context.clone())
        .map(|view, headers| from_view(view, &headers, |view| Some(&view.site.db)))
        .boxed();
    let collection = warp::path::param()
        .and(warp::path::end())
        .and(context.clone())
        .map(|collection: Collection, view, headers| {
            from_view(view, &headers, |view| {
                Some(&view.site.collections[collection])
            })
        })
        .boxed();
    let record = warp::path::param()
        .and(warp::path::param())
        .and(warp::path::end())
        .and(context)
        .map(|collection, id: String, view, headers| record(collection, &id, view, &headers))
        .boxed();
    let nothing = warp::header::headers_cloned()
        .map(|headers: HeaderMap| respond::not_found(&headers))
        .boxed();

    root.or(movies)
        .unify()
        .or(collection)
        .unify()
        .or(record)
        .unify()
        .or(db)
        .unify()
        .or(style)
        .unify()
        .or(icon)
        .unify()
        .or(nothing)
        .unify()
        .recover(async |_| Ok::<_, Infallible>(broken()))
        .unify()
}

fn named(name: &str, wanted: &str) -> Result<(), warp::Rejection> {
    if name.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        Err(warp::reject())
    }
}

fn asset(name: &'static str, body: Body) -> warp::filters::BoxedFilter<(Response<Bytes>,)> {
    warp::path(name)
        .and(warp::path::end())
        .and(warp::header::headers_cloned())
        .map(move |headers: HeaderMap| {
            let mut response = respond::with_body(StatusCode::OK, &body, &headers);
            let an_hour = HeaderValue::from_static("public, max-age=3600");
            response.headers_mut().insert(CACHE_CONTROL, an_hour);
            response
        })
        .boxed()
}

fn from_view(
    view: Option<Arc<View>>,
    headers: &HeaderMap,
    find: impl FnOnce(&View) -> Option<&Body>,
) -> Response<Bytes> {
    let Some(view) = view else {
        return respond::not_ready();
    };
    match find(&view) {
        Some(body) => respond::with_body(StatusCode::OK, body, headers),
        None => respond::not_found(headers),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that the filter wants"
)]
fn movies(view: Option<Arc<View>>, headers: HeaderMap) -> Response<Bytes> {
    let mut response = from_view(view, &headers, |view| Some(&view.movies));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(PAGE_POLICY),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn record(
    collection: Collection,
    id: &str,
    view: Option<Arc<View>>,
    headers: &HeaderMap,
) -> Response<Bytes> {
    match decode(id) {
        Ok(id) => from_view(view, headers, |view| view.site.records[collection].get(&id)),
        Err(problem) => respond::problem(StatusCode::BAD_REQUEST, problem),
    }
}

/// A path segment without its percent escapes.
fn decode(segment: &str) -> Result<String, &'static str> {
    let mut escapes = segment.split('%').skip(1);
    let is_escape = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err("the path has a % that is not followed by two hexadecimal digits");
    }
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded
        .map(String::from)
        .map_err(|_| "the path is not UTF-8 once its escapes are decoded")
}
