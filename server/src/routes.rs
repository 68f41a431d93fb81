//! Paths, as a warp filter, and the guard that stands before it.
//!
//! | path | answers |
//! |---|---|
//! | `/` | leads to `/movies` |
//! | `/movies` | HTML for people |
//! | `/films`, `/people`, `/locations`, `/species`, `/vehicles` | a collection, or what a query selects of it |
//! | `/{collection}/{id}` | a record |
//! | `/{collection}/{id}/{collection}` | the records that belong to it |
//! | `/db` | all five collections |
//! | `/style.css`, `/icon.svg` | what the page needs |
//! | anything else | 404 `{}` |
//!
//! Everything is answered from memory. Names of collections are read without regard to case, and
//! one trailing slash is ignored, as the upstream does.

use std::convert::Infallible;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Body as RequestBody;
use hyper::service::Service;
use shared::catalogue::Collection;
use tower_service::Service as _;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Reply;

use crate::answer::Context;
use crate::pages::{ICON, STYLE};
use crate::publish::Published;
use crate::render::Body;
use crate::respond;

/// What every answer needs to know of how this server is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The address under which clients know the mirror, without a trailing slash.
    pub base: String,
    /// `Cache-Control` of every answer from the catalogue.
    pub cache_control: HeaderValue,
    /// Whether answers tell how long they took.
    pub server_timing: bool,
}

/// The whole mirror as a service: the guard, then the routes. Request bodies are not looked at, so
/// that any will do, be it from a socket or from a test.
pub fn service<B>(
    published: Published,
    setup: Setup,
) -> impl Service<Request<B>, Response = warp::reply::Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: RequestBody<Error: Into<Box<dyn Error + Send + Sync>>> + Send + Sync + 'static,
{
    let server_timing = setup.server_timing;
    let routes = warp::service(routes(published, setup));
    hyper::service::service_fn(move |request: Request<B>| {
        let mut routes = routes.clone();
        async move {
            let started = Instant::now();
            let mut response = match *request.method() {
                Method::GET | Method::HEAD => {
                    let answer = AssertUnwindSafe(async move { routes.call(request).await });
                    match answer.catch_unwind().await {
                        Ok(Ok(response)) => response,
                        Err(_) => broken().into_response(),
                    }
                }
                Method::OPTIONS => respond::options().into_response(),
                _ => respond::not_allowed().into_response(),
            };
            if server_timing {
                let took = format!("app;dur={:.3}", started.elapsed().as_secs_f64() * 1000.0);
                let took = HeaderValue::try_from(took).expect("is ASCII");
                response.headers_mut().insert("server-timing", took);
            }
            Ok(response)
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
    setup: Setup,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Infallible> + Clone {
    let setup = Arc::new(setup);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let headers = warp::header::headers_cloned();
    let context = warp::any()
        .and(headers)
        .and(query)
        .map(move |headers, query| Context {
            view: published.load_full(),
            setup: setup.clone(),
            headers,
            query,
        })
        .boxed();
    let end = warp::path::end;
    let param = || warp::path::param::<String>();
    let collection = || warp::path::param::<Collection>();

    let root = end().map(|| respond::redirect("/movies")).boxed();
    let movies = warp::path("movies")
        .and(end())
        .and(context.clone())
        .map(Context::movies)
        .boxed();
    let all = collection().and(end()).and(context.clone());
    let all = all
        .map(|from, context: Context| context.collection(from))
        .boxed();
    let one = collection().and(param()).and(end()).and(context.clone());
    let one = one
        .map(|from, id: String, context: Context| context.record(from, &id))
        .boxed();
    let related = collection()
        .and(param())
        .and(collection())
        .and(end())
        .and(context.clone());
    let related = related
        .map(|from, id: String, to, context: Context| context.related(from, &id, to))
        .boxed();
    let db = param().and(end()).and(context.clone());
    let db = db
        .map(|name: String, context: Context| context.db(&name))
        .boxed();
    let style = asset("style.css", Body::new("text/css; charset=utf-8", STYLE));
    let icon = asset("icon.svg", Body::new("image/svg+xml", ICON));
    let nothing = context.map(|context: Context| context.nothing()).boxed();

    root.or(movies)
        .unify()
        .or(all)
        .unify()
        .or(one)
        .unify()
        .or(related)
        .unify()
        .or(style)
        .unify()
        .or(icon)
        .unify()
        .or(db)
        .unify()
        .or(nothing)
        .unify()
        .recover(async |_| Ok::<_, Infallible>(broken()))
        .unify()
}

fn asset(name: &'static str, body: Body) -> BoxedFilter<(Response<Bytes>,)> {
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
