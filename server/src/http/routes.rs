//! Paths, as a warp filter.
//!
//! | path | answers |
//! |---|---|
//! | `/` | leads to `/movies` |
//! | `/movies`, `/movies/{id}`, `/movies/{collection}/{id}` | HTML for people |
//! | `/sitemap.xml`, `/robots.txt` | where search engines find that |
//! | `/films`, `/people`, `/locations`, `/species`, `/vehicles` | a collection, or what a query selects of it |
//! | `/{collection}/{id}` | a record |
//! | `/{collection}/{id}/{collection}` | the records that belong to it |
//! | `/db` | all five collections |
//! | `/feed.atom`, `/feed.json`, `/changes` | the releases |
//! | `/events` | the releases as they come; here only for HEAD, the guard answers GET |
//! | `/status`, `/status.json` | how the mirror is, computed for each request |
//! | `/docs`, `/openapi.json` | the reference, for people and as an OpenAPI document |
//! | `/style.css`, `/icon.svg` | what the pages need |
//! | anything else | 404 `{}` |
//!
//! The server answers everything from memory: at once, or on the threads of the query pool where the
//! query may take long. Names of collections are read without regard to case. Like the upstream, the
//! server ignores one slash at the end of a path.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use shared::catalogue::Collection;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::config::prefix;
use crate::http::handlers::{Context, Setup, Target};
use crate::http::heads::PLAIN;
use crate::http::{problems, respond, stream};
use crate::pages::{ICON, STYLE, robots};
use crate::publish::{Published, View};
use crate::query::Plan;
use crate::query::pool::{Busy, QueryPool};
use crate::reference::Reference;
use crate::render::Body;
use crate::status::Form;

/// What an answer depends on beside the route.
struct Asked {
    headers: HeaderMap,
    target: Option<Arc<Target>>,
}

/// What all answers share.
struct Mirror {
    published: Published,
    setup: Setup,
    pool: QueryPool,
}

impl Mirror {
    fn context<'a>(&'a self, view: Option<&'a View>, asked: &'a Asked) -> Context<'a> {
        let target = asked.target.as_deref();
        Context {
            view,
            setup: &self.setup,
            headers: &asked.headers,
            path: target.map_or("", |target| &target.path),
            query: target.map_or("", |target| &target.query),
        }
    }

    fn answers_at_once(&self, asked: &Asked) -> bool {
        let Some(target) = &asked.target else {
            return true;
        };
        let view = self.published.load();
        Plan::is_light(&target.query) && view.as_ref().is_none_or(|view| view.is_small())
    }

    /// Answers at once.
    fn answer(
        &self,
        asked: &Asked,
        answer: impl FnOnce(Context<'_>) -> Response<Bytes>,
    ) -> Response<Bytes> {
        let view = self.published.load();
        answer(self.context(view.as_deref(), asked))
    }

    /// Computes the answer in the query pool.
    async fn compute(
        self: Arc<Self>,
        asked: Asked,
        answer: impl FnOnce(Context<'_>) -> Response<Bytes> + Send + 'static,
    ) -> Response<Bytes> {
        let (view, mirror) = (self.published.load_full(), self.clone());
        let work = move || answer(mirror.context(view.as_deref(), &asked));
        let computed = self.pool.compute(work).await;
        computed.unwrap_or_else(|Busy| problems::busy())
    }
}

pub(super) fn routes(
    published: Published,
    setup: Setup,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Infallible> + Clone + use<> {
    let mirror = Arc::new(Mirror {
        published,
        pool: QueryPool::new(setup.queries.clone()),
        setup,
    });
    let end = warp::path::end;
    let id = || warp::path::param::<String>();
    let collection = || warp::path::param::<Collection>();

    // warp tries the routes in this order. Those that clients ask for most are not boxed.
    let record = collection().and(id()).and(end()).and(asked()).then({
        let mirror = mirror.clone();
        move |from, id: String, asked: Asked| {
            rendered_or_computed(&mirror, asked, move |it| it.record(from, &id))
        }
    });
    let all = collection().and(end()).and(asked()).then({
        let mirror = mirror.clone();
        move |from, asked: Asked| {
            rendered_or_computed(&mirror, asked, move |it| it.collection(from))
        }
    });
    let nothing = asked().map({
        let mirror = mirror.clone();
        move |asked| mirror.answer(&asked, |it| it.nothing())
    });
    let others = table(&mirror)
        .into_iter()
        .rev()
        .fold(nothing.boxed(), |rest, (_, route)| {
            route.or(rest).unify().boxed()
        });
    record
        .or(all)
        .unify()
        .or(others)
        .unify()
        .recover(async |_| Ok::<_, Infallible>(problems::broken()))
        .unify()
}

fn asked() -> impl Filter<Extract = (Asked,), Error = Infallible> + Copy {
    warp::header::headers_cloned()
        .and(warp::ext::optional())
        .map(|headers, target| Asked { headers, target })
}

/// Answers at once from a rendered body, or if the query is light; computes the answer to any other
/// query in the pool.
fn rendered_or_computed<F>(
    mirror: &Arc<Mirror>,
    asked: Asked,
    answer: F,
) -> impl Future<Output = Response<Bytes>> + Send + use<F>
where
    F: FnOnce(Context<'_>) -> Response<Bytes> + Send + 'static,
{
    if mirror.answers_at_once(&asked) {
        Either::Left(ready(mirror.answer(&asked, answer)))
    } else {
        Either::Right(mirror.clone().compute(asked, answer))
    }
}

/// Answers at once without a query, and in the pool with one: the answer is then rendered and
/// compressed for this request alone.
fn at_once_or_computed<F>(
    mirror: &Arc<Mirror>,
    asked: Asked,
    answer: F,
) -> impl Future<Output = Response<Bytes>> + Send + use<F>
where
    F: FnOnce(Context<'_>) -> Response<Bytes> + Send + 'static,
{
    if asked.target.is_none() {
        Either::Left(ready(mirror.answer(&asked, answer)))
    } else {
        Either::Right(mirror.clone().compute(asked, answer))
    }
}

/// A path, as the reference spells it, and the filter that answers it.
type Route = (&'static str, BoxedFilter<(Response<Bytes>,)>);

/// Every path that exists beside the hot ones, in the order in which warp tries them.
fn table(mirror: &Arc<Mirror>) -> Vec<Route> {
    let end = warp::path::end;
    let param = || warp::path::param::<String>();
    let collection = || warp::path::param::<Collection>();
    let mirror = || mirror.clone();

    let related = collection().and(param()).and(collection()).and(end());
    let related = related.and(asked()).then({
        let mirror = mirror();
        move |from, id: String, to, asked: Asked| {
            rendered_or_computed(&mirror, asked, move |it| it.related(from, &id, to))
        }
    });
    let movies = warp::path("movies").and(end()).and(asked()).then({
        let mirror = mirror();
        move |asked: Asked| at_once_or_computed(&mirror, asked, |it| it.movies())
    });
    let film = warp::path("movies").and(param()).and(end()).and(asked());
    let film = film.map({
        let mirror = mirror();
        move |id: String, asked| mirror.answer(&asked, |it| it.page(Collection::Films, &id))
    });
    let page = warp::path("movies").and(collection()).and(param());
    let page = page.and(end()).and(asked()).map({
        let mirror = mirror();
        move |of, id: String, asked| mirror.answer(&asked, |it| it.page(of, &id))
    });
    let news = |path: &'static str, answer: fn(Context<'_>) -> Response<Bytes>| {
        let mirror = mirror();
        let asked = warp::path(path).and(end()).and(asked());
        asked
            .map(move |asked| mirror.answer(&asked, answer))
            .boxed()
    };

    let base = &mirror().setup.base;
    let prefix = prefix(base);
    let movies_page = HeaderValue::try_from(format!("{prefix}/movies")).expect("is part of a URL");
    let root = end().map(move || respond::redirect(movies_page.clone()));

    let reference = Arc::new(Reference::render(base, prefix));
    let docs = warp::path("docs").and(end()).and(asked()).map({
        let (mirror, reference) = (mirror(), reference.clone());
        move |asked| mirror.answer(&asked, |it| it.docs(&reference))
    });
    let openapi = warp::path("openapi.json").and(end()).and(asked()).map({
        let mirror = mirror();
        move |asked| mirror.answer(&asked, |it| it.openapi(&reference))
    });
    // GET is the guard's.
    let events = warp::path("events").and(end());
    let events = events.map(stream::answer_head).boxed();
    let status = |name: &'static str, form: Form| {
        let mirror = mirror();
        let answer = move |asked| mirror.answer(&asked, |it| it.status(form));
        warp::path(name).and(end()).and(asked()).map(answer).boxed()
    };
    let db = param().and(end()).and(asked()).map({
        let mirror = mirror();
        move |name: String, asked| mirror.answer(&asked, |it| it.db(&name))
    });

    vec![
        ("/movies", movies.boxed()),
        ("/movies/{id}", film.boxed()),
        ("/movies/{collection}/{id}", page.boxed()),
        ("/sitemap.xml", news("sitemap.xml", |it| it.sitemap())),
        (
            "/robots.txt",
            asset("robots.txt", "text/plain; charset=utf-8", robots(base)),
        ),
        ("/feed.atom", news("feed.atom", |it| it.atom())),
        ("/feed.json", news("feed.json", |it| it.json_feed())),
        ("/changes", news("changes", |it| it.changes())),
        ("/events", events),
        ("/{collection}/{id}/{related}", related.boxed()),
        ("/", root.boxed()),
        ("/status", status("status", Form::Page)),
        ("/status.json", status("status.json", Form::Json)),
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

fn asset(
    name: &'static str,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> BoxedFilter<(Response<Bytes>,)> {
    let body = Body::new(content_type, text);
    warp::path(name)
        .and(warp::path::end())
        .and(warp::header::headers_cloned())
        .map(move |headers: HeaderMap| {
            let mut response = respond::with_body(StatusCode::OK, &body, &headers, &PLAIN);
            let an_hour = HeaderValue::from_static("public, max-age=3600");
            response.headers_mut().insert(CACHE_CONTROL, an_hour);
            response
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::config::Posters;
    use crate::events::Events;
    use crate::follow::Known;
    use crate::query::pool::QueryLoad;
    use crate::status::Watched;

    /// The parts of pages; clients do not request them on their own.
    const UNDOCUMENTED: [&str; 2] = ["/style.css", "/icon.svg"];

    /// The paths of the routes that are not boxed.
    const HOT: [&str; 2] = ["/{collection}/{id}", "/{collection}"];

    #[test]
    fn the_reference_has_every_path_and_no_other() {
        let mirror = Arc::new(Mirror {
            published: Published::default(),
            setup: Setup {
                base: "http://mirror.example".into(),
                cache_control: HeaderValue::from_static("no-cache"),
                posters: Posters::On,
                server_timing: false,
                watched: Watched::new(watch::channel(Known::default()).1),
                queries: QueryLoad::default(),
                events: Events::new(0),
            },
            pool: QueryPool::new(QueryLoad::default()),
        });
        let others = table(&mirror).into_iter().map(|(path, _)| path);
        let paths = HOT.into_iter().chain(others);
        let mut served: Vec<_> = paths.filter(|path| !UNDOCUMENTED.contains(path)).collect();
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut documented: Vec<_> = paths.keys().map(String::as_str).collect();
        served.sort_unstable();
        documented.sort_unstable();
        assert_eq!(served, documented);
    }
}
