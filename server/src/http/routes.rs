//! Paths, as a warp filter, and the guard before it.
//!
//! | path | answers |
//! |---|---|
//! | `/` | leads to `/movies` |
//! | `/movies` | HTML for people |
//! | `/films`, `/people`, `/locations`, `/species`, `/vehicles` | a collection, or what a query selects of it |
//! | `/{collection}/{id}` | a record |
//! | `/{collection}/{id}/{collection}` | the records that belong to it |
//! | `/db` | all five collections |
//! | `/docs`, `/openapi.json` | the reference, for people and as an OpenAPI document |
//! | `/style.css`, `/icon.svg` | what the pages need |
//! | anything else | 404 `{}` |
//!
//! The server answers everything from memory, and queries on separate threads. Names of
//! collections are read without regard to case. Like the upstream, the server ignores one slash at
//! the end of a path, and one more after the name of a collection.

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
use shared::service::http::Malformed;
use tower_service::Service as _;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Reply;

use crate::config::prefix;
use crate::http::handlers::Context;
use crate::http::respond;
use crate::pages::{ICON, STYLE};
use crate::publish::Published;
use crate::query::pool::{Busy, QueryPool};
use crate::reference::Reference;
use crate::render::Body;

/// The settings of this server that every answer needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The address under which clients know the mirror, without a trailing slash.
    pub base: String,
    /// `Cache-Control` of every answer from the catalogue.
    pub cache_control: HeaderValue,
    /// Whether answers show how long the server took.
    pub server_timing: bool,
}

/// The whole mirror as a service: the guard, then the routes. The service never reads request
/// bodies, so it accepts any body type, from a socket or from a test.
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
    let routes = warp::service(routes(published, &Arc::new(setup)));
    hyper::service::service_fn(move |request: Request<B>| {
        let mut routes = routes.clone();
        async move {
            let started = Instant::now();
            let mut response = match *request.method() {
                _ if request.extensions().get::<Malformed>().is_some() => {
                    malformed(&request).into_response()
                }
                Method::GET | Method::HEAD => {
                    let request = with_fewer_slashes(request);
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

/// Answers a request whose first line cannot be parsed.
fn malformed<B>(request: &Request<B>) -> Response<Bytes> {
    let why = request.extensions().get::<Malformed>();
    let why = why.map(ToString::to_string).unwrap_or_default();
    respond::problem(StatusCode::BAD_REQUEST, &why)
}

/// The path as the client wrote it, if the server replaced it.
#[derive(Clone, Debug)]
struct Asked(String);

/// Removes the slashes that the upstream ignores and that warp does not.
fn with_fewer_slashes<B>(mut request: Request<B>) -> Request<B> {
    let uri = request.uri();
    if let Some(path) = fewer_slashes(uri.path()) {
        let query = uri.query().map(|query| format!("?{query}"));
        let path_and_query = path + &query.unwrap_or_default();
        if let Ok(fewer) = path_and_query.parse() {
            let asked = Asked(uri.path().to_owned());
            request.extensions_mut().insert(asked);
            *request.uri_mut() = fewer;
        }
    }
    request
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

/// Answers after a bug in the server. The panic itself is already in the log.
fn broken() -> Response<Bytes> {
    respond::problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this should not have happened",
    )
}

/// A path, as the reference spells it, and the filter that answers it.
type Route = (&'static str, BoxedFilter<(Response<Bytes>,)>);

fn routes(
    published: Published,
    setup: &Arc<Setup>,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Infallible> + Clone + use<> {
    let context = context(published, setup.clone());
    let nothing = context.clone().map(|context: Context| context.nothing());
    // warp tries the first route first, and it passes through the fewest boxes.
    table(&context, setup)
        .into_iter()
        .rev()
        .fold(nothing.boxed(), |rest, (_, route)| {
            route.or(rest).unify().boxed()
        })
        .recover(async |_| Ok::<_, Infallible>(broken()))
        .unify()
}

fn context(published: Published, setup: Arc<Setup>) -> BoxedFilter<(Context,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let asked = warp::ext::optional::<Asked>();
    warp::header::headers_cloned()
        .and(warp::path::full())
        .and(asked)
        .and(query)
        .map(
            move |headers, path: FullPath, asked: Option<Asked>, query| Context {
                view: published.load_full(),
                setup: setup.clone(),
                headers,
                path: asked.map_or_else(|| path.as_str().to_owned(), |Asked(path)| path),
                query,
            },
        )
        .boxed()
}

/// Every path that exists, in the order in which warp tries them.
fn table(context: &BoxedFilter<(Context,)>, setup: &Setup) -> Vec<Route> {
    let context = || context.clone();
    let end = warp::path::end;
    let param = || warp::path::param::<String>();
    let collection = || warp::path::param::<Collection>();

    let pool = QueryPool::new();
    let all = collection().and(end()).and(context()).then({
        let pool = pool.clone();
        move |from, context: Context| answer(pool.clone(), context, move |it| it.collection(from))
    });
    let one = collection().and(param()).and(end()).and(context()).then({
        let pool = pool.clone();
        move |from, id: String, context: Context| {
            answer(pool.clone(), context, move |it| it.record(from, &id))
        }
    });
    let related = collection().and(param()).and(collection()).and(end());
    let related = related
        .and(context())
        .then(move |from, id: String, to, context: Context| {
            answer(pool.clone(), context, move |it| it.related(from, &id, to))
        });
    let movies = warp::path("movies").and(end()).and(context());
    let movies = movies.map(|context: Context| context.movies());

    let prefix = prefix(&setup.base);
    let movies_page = HeaderValue::try_from(format!("{prefix}/movies")).expect("is part of a URL");
    let root = end().map(move || respond::redirect(movies_page.clone()));

    let reference = Arc::new(Reference::render(&setup.base, prefix));
    let docs = warp::path("docs").and(end()).and(context()).map({
        let reference = reference.clone();
        move |context: Context| context.docs(&reference)
    });
    let openapi = warp::path("openapi.json").and(end()).and(context());
    let openapi = openapi.map(move |context: Context| context.openapi(&reference));
    let db = param().and(end()).and(context());
    let db = db.map(|name: String, context: Context| context.db(&name));

    vec![
        ("/{collection}", all.boxed()),
        ("/{collection}/{id}", one.boxed()),
        ("/{collection}/{id}/{related}", related.boxed()),
        ("/movies", movies.boxed()),
        ("/", root.boxed()),
        ("/docs", docs.boxed()),
        ("/openapi.json", openapi.boxed()),
        (
            "/style.css",
            asset("style.css", "text/css; charset=utf-8", STYLE),
        ),
        ("/icon.svg", asset("icon.svg", "image/svg+xml", ICON)),
        ("/db", db.boxed()),
    ]
}

/// Answers at once from a rendered body, or computes the answer to a query in the pool.
async fn answer(
    pool: QueryPool,
    context: Context,
    answer: impl FnOnce(&Context) -> Response<Bytes> + Send + 'static,
) -> Response<Bytes> {
    if context.query.is_empty() {
        answer(&context)
    } else {
        let computed = pool.compute(move || answer(&context)).await;
        computed.unwrap_or_else(|Busy| respond::busy())
    }
}

fn asset(
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
) -> BoxedFilter<(Response<Bytes>,)> {
    let body = Body::new(content_type, text);
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

    /// The parts of pages; clients do not request them on their own.
    const UNDOCUMENTED: [&str; 2] = ["/style.css", "/icon.svg"];

    #[test]
    fn the_reference_has_every_path_and_no_other() {
        let setup = Arc::new(Setup {
            base: "http://mirror.example".into(),
            cache_control: HeaderValue::from_static("no-cache"),
            server_timing: false,
        });
        let context = context(Published::default(), setup.clone());
        let table = table(&context, &setup).into_iter().map(|(path, _)| path);
        let mut served: Vec<_> = table.filter(|path| !UNDOCUMENTED.contains(path)).collect();
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut documented: Vec<_> = paths.keys().map(String::as_str).collect();
        served.sort_unstable();
        documented.sort_unstable();
        assert_eq!(served, documented);
    }
}
