//! Counts and times requests, around the service that answers them.
//!
//! A film by id costs a few microseconds, so each serving thread has its own counters, on cache
//! lines of its own: a request waits for no lock and for no other thread. The counters are summed
//! when they are scraped.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Body;
use hyper::service::{Service, service_fn};
use shared::catalogue::Collection;
use shared::service::http::Malformed;
use shared::service::metrics::Page;

/// The paths of the routes, and the rest. [`route`] returns an index.
const ROUTES: [&str; 21] = [
    "/{collection}/{id}",
    "/{collection}",
    "/{collection}/{id}/{related}",
    "/",
    "/movies",
    "/db",
    "/docs",
    "/openapi.json",
    "/style.css",
    "/icon.svg",
    "/movies/{id}",
    "/feed.atom",
    "/feed.json",
    "/changes",
    "/status",
    "/status.json",
    "/movies/{collection}/{id}",
    "/sitemap.xml",
    "/robots.txt",
    "/events",
    "other",
];
const OTHER_ROUTE: usize = ROUTES.len() - 1;

/// Every status that an answer can have, and room for one that nobody thought of.
const STATUSES: [&str; 10] = [
    "200", "204", "302", "304", "400", "404", "405", "500", "503", "other",
];

/// The upper bounds of the time until an answer is there, in seconds. Nearly all take microseconds;
/// a query waits up to 1.5 s for its turn.
const BOUNDS: [f64; 12] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5,
];

/// The same in nanoseconds.
const BOUNDS_NS: [u64; BOUNDS.len()] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
];

/// The requests so far.
#[derive(Clone, Debug)]
pub struct Requests(Arc<[Arc<Shard>]>);

/// The requests answered by one thread. Aligned to two cache lines, because processors fetch them in
/// pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    answers: [[AtomicU64; STATUSES.len()]; ROUTES.len()],
    durations: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
    bytes: AtomicU64,
}

impl Shard {
    fn note(&self, route: usize, status: StatusCode, took: Duration, bytes: u64) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Most are in the first two.
        let bucket = BOUNDS_NS.iter().position(|bound| took <= *bound);
        for (count, more) in [
            (&self.answers[route][index_of(status)], 1),
            (&self.durations[bucket.unwrap_or(BOUNDS.len())], 1),
            (&self.nanoseconds, took),
            (&self.bytes, bytes),
        ] {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }
}

impl Default for Requests {
    /// Counters for as many threads as serve.
    fn default() -> Self {
        let threads = available_parallelism().map_or(1, usize::from);
        Self((0..threads).map(|_| Arc::default()).collect())
    }
}

impl Requests {
    /// Counts what `service` answers on the thread of this number.
    pub fn measured<A, B, S>(
        &self,
        service: S,
        thread: usize,
    ) -> impl Service<Request<B>, Response = Response<A>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
    + use<A, B, S>
    where
        A: Body,
        B: Body + Send + 'static,
        S: Service<Request<B>, Response = Response<A>, Error = Infallible, Future: Send>,
        S: Clone + Send + 'static,
    {
        let shard = self.0[thread % self.0.len()].clone();
        service_fn(move |request: Request<B>| {
            let started = Instant::now();
            let route = match request.extensions().get::<Malformed>() {
                Some(_) => OTHER_ROUTE,
                None => route(request.uri().path()),
            };
            let has_body = request.method() != Method::HEAD;
            let answer = service.call(request);
            let shard = shard.clone();
            async move {
                let Ok(answer) = answer.await;
                let bytes = answer.body().size_hint().exact().filter(|_| has_body);
                let (status, took) = (answer.status(), started.elapsed());
                shard.note(route, status, took, bytes.unwrap_or_default());
                Ok(answer)
            }
        })
    }

    /// Writes the metrics.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds of months are exact"
    )]
    pub fn describe(&self, page: &mut Page<'_>) -> fmt::Result {
        let sum = |of: &dyn Fn(&Shard) -> &AtomicU64| {
            let each = self.0.iter().map(|shard| of(shard).load(Ordering::Relaxed));
            each.sum::<u64>()
        };
        let answers = ROUTES.iter().enumerate().flat_map(|(route, template)| {
            STATUSES.iter().enumerate().map(move |(status, name)| {
                let count = sum(&|shard| &shard.answers[route][status]);
                ([("route", *template), ("status", *name)], count)
            })
        });
        page.counters("ghibli_requests", "Requests, by route and status", answers)?;
        let durations: Vec<_> = (0..=BOUNDS.len())
            .map(|bucket| sum(&|shard| &shard.durations[bucket]))
            .collect();
        page.histogram(
            "ghibli_request_duration_seconds",
            "From a request's head to its answer's head; sending it is not included",
            &BOUNDS,
            &durations,
            sum(&|shard| &shard.nanoseconds) as f64 / 1e9,
        )?;
        page.counter(
            "ghibli_sent_bytes",
            "Bytes of the answers' bodies",
            sum(&|shard| &shard.bytes),
        )
    }
}

/// Which route answers this path; not whether there is anything at it.
fn route(path: &str) -> usize {
    let Some(rest) = path.strip_prefix('/') else {
        return OTHER_ROUTE;
    };
    let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
    let parts = [(); 4].map(|()| segments.next());
    let is_collection = |name: &str| name.parse::<Collection>().is_ok();
    match parts {
        [Some(from), Some(_), None, _] if is_collection(from) => 0,
        [Some(from), None, ..] if is_collection(from) => 1,
        [Some(from), Some(_), Some(to), None] if is_collection(from) && is_collection(to) => 2,
        [None, ..] => 3,
        [Some("movies"), None, ..] => 4,
        [Some(name), None, ..] if name.eq_ignore_ascii_case("db") => 5,
        [Some("docs"), None, ..] => 6,
        [Some("openapi.json"), None, ..] => 7,
        [Some("style.css"), None, ..] => 8,
        [Some("icon.svg"), None, ..] => 9,
        [Some("movies"), Some(_), None, _] => 10,
        [Some("feed.atom"), None, ..] => 11,
        [Some("feed.json"), None, ..] => 12,
        [Some("changes"), None, ..] => 13,
        [Some("status"), None, ..] => 14,
        [Some("status.json"), None, ..] => 15,
        [Some("movies"), Some(of), Some(_), None] if is_collection(of) => 16,
        [Some("sitemap.xml"), None, ..] => 17,
        [Some("robots.txt"), None, ..] => 18,
        [Some("events"), None, ..] => 19,
        _ => OTHER_ROUTE,
    }
}

fn index_of(status: StatusCode) -> usize {
    match status.as_u16() {
        200 => 0,
        204 => 1,
        302 => 2,
        304 => 3,
        400 => 4,
        404 => 5,
        405 => 6,
        500 => 7,
        503 => 8,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_reference_is_a_route_of_its_own() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        for template in document["paths"].as_object().unwrap().keys() {
            let path = template.replace("{collection}", "Films");
            let path = path.replace("{id}", "7").replace("{related}", "people");
            assert_eq!(ROUTES[route(&path)], template, "{path}");
        }
        for path in ["/style.css", "/icon.svg"] {
            assert_eq!(ROUTES[route(path)], path);
        }
        for path in ["", "*", "/x", "/films/7/x", "/films/7/people/1", "/Movies"] {
            assert_eq!(ROUTES[route(path)], "other", "{path}");
        }
    }

    #[test]
    fn statuses_and_bounds_are_where_their_names_are() {
        for (index, name) in STATUSES.iter().enumerate() {
            let status = name.parse().unwrap_or(StatusCode::IM_A_TEAPOT);
            assert_eq!(index_of(status), index);
        }
        for (bound, nanoseconds) in BOUNDS.into_iter().zip(BOUNDS_NS) {
            let same = Duration::from_secs_f64(bound);
            assert_eq!(same, Duration::from_nanos(nanoseconds));
        }
    }
}
