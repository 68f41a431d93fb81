//! The answer for each kind of path, from the view that was current when the request came.
//!
//! Decides which body or selection a request gets. Waits for nothing.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::Utc;
use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use shared::catalogue::Collection;

use crate::config::{Posters, prefix};
use crate::events::Events;
use crate::http::heads::{Heads, PLAIN};
use crate::http::problems;
use crate::http::respond::{self, NOTHING};
use crate::http::security_headers;
use crate::pages::Choice;
use crate::publish::View;
use crate::query::pool::QueryLoad;
use crate::query::{BadQuery, PageLinks, Plan, Selection};
use crate::reference::Reference;
use crate::render::{Body, JSON, RenderedRecord, pretty};
use crate::status::{self, Watched};

/// The content type of JSONP (`?callback=`), as the upstream sends it.
const JSONP: &str = "text/javascript; charset=utf-8";

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The settings of this server that every answer needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The address under which clients know the mirror, without a trailing slash.
    pub base: String,
    /// `Cache-Control` of every answer from the catalogue.
    pub cache_control: HeaderValue,
    /// Whether pages show posters.
    pub posters: Posters,
    /// Whether answers show how long the server took.
    pub server_timing: bool,
    /// What the status shows beside the view.
    pub watched: Watched,
    /// Counts the queries that wait.
    pub queries: QueryLoad,
    /// What `/events` sends.
    pub events: Events,
}

/// What a client wrote as its target, if that has a query.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) query: String,
}

/// One request, and the data for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) view: Option<&'a View>,
    pub(crate) setup: &'a Setup,
    /// The fields of the request that decide on the form of the answer.
    pub(crate) headers: &'a HeaderMap,
    /// The path as the client wrote it, if there is a query.
    pub(crate) path: &'a str,
    /// The query string, still with its escapes.
    pub(crate) query: &'a str,
}

impl Context<'_> {
    /// `/movies`.
    pub(crate) fn movies(&self) -> Response<Bytes> {
        if self.query.is_empty() {
            return self.answer(|view, heads| Ok(self.whole(&view.pages.table, heads)));
        }
        match Choice::parse(self.query) {
            Ok(choice) => self.answer(|view, heads| {
                let page = self.whole(&view.pages.films(&choice, &view.catalogue), heads);
                Ok(if choice.has_posters() {
                    self.with_posters(page)
                } else {
                    page
                })
            }),
            Err(bad) => problems::bad_parameter(bad.parameter, &bad.detail),
        }
    }

    /// `/movies/{id}` and `/movies/{collection}/{id}`.
    pub(crate) fn page(&self, collection: Collection, id: &str) -> Response<Bytes> {
        self.with_item(collection, id, |view, heads, record| {
            let page = view.pages.record(collection, record.id(), &view.catalogue);
            let answer = page.map(|page| self.with_posters(self.whole(page, heads)));
            Ok(answer.unwrap_or_else(|| self.nothing()))
        })
    }

    /// `/sitemap.xml`.
    pub(crate) fn sitemap(&self) -> Response<Bytes> {
        self.answer(|view, heads| Ok(self.whole(&view.pages.sitemap, heads)))
    }

    /// `/feed.atom`.
    pub(crate) fn atom(&self) -> Response<Bytes> {
        self.answer(|view, heads| Ok(self.whole(&view.news.atom, heads)))
    }

    /// `/feed.json`.
    pub(crate) fn json_feed(&self) -> Response<Bytes> {
        self.answer(|view, heads| Ok(self.whole(&view.news.json_feed, heads)))
    }

    /// `/changes`.
    pub(crate) fn changes(&self) -> Response<Bytes> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        let since = pairs.find(|(name, _)| name == "since");
        match since.map_or(Ok(0), |(_, number)| number.parse()) {
            Ok(since) => {
                self.answer(|view, heads| Ok(self.whole(&view.news.changes(since), heads)))
            }
            Err(_) => problems::bad_parameter(
                "since",
                "`since` must be a whole number: the `next` of the answer before, or 0",
            ),
        }
    }

    /// `/status` and `/status.json`, which need no catalogue either.
    pub(crate) fn status(&self, form: status::Form) -> Response<Bytes> {
        let facts = self.view.map(|view| &*view.facts);
        let report = self.setup.watched.report(facts, Utc::now());
        respond::for_now(&form.body(&report, prefix(&self.setup.base)))
    }

    /// `/docs`, which needs no catalogue.
    pub(crate) fn docs(&self, reference: &Reference) -> Response<Bytes> {
        self.whole(&reference.page, &PLAIN)
    }

    /// `/openapi.json`, which needs no catalogue either.
    pub(crate) fn openapi(&self, reference: &Reference) -> Response<Bytes> {
        self.whole(&reference.document, &PLAIN)
    }

    /// `/{collection}`.
    pub(crate) fn collection(&self, collection: Collection) -> Response<Bytes> {
        self.answer(|view, heads| {
            let records = &view.catalogue.collections[collection];
            let plan = self.plan(Plan::parse)?;
            let Some(plan) = plan else {
                return Ok(self.whole(&records.body, heads));
            };
            Ok(self.selected(&plan, view, heads, collection, records.fields()))
        })
    }

    /// `/{collection}/{id}`.
    pub(crate) fn record(&self, collection: Collection, id: &str) -> Response<Bytes> {
        self.with_item(collection, id, |view, heads, item| {
            let Some(plan) = self.plan(Plan::parse_for_record)? else {
                return Ok(self.whole(&item.body, heads));
            };
            let record = plan.project(item.fields(), &|link| view.catalogue.resolve(link));
            Ok(self.rendered(StatusCode::OK, heads, &plan, pretty(&record)))
        })
    }

    /// `/{collection}/{id}/{collection}`.
    pub(crate) fn related(&self, from: Collection, id: &str, to: Collection) -> Response<Bytes> {
        self.with_item(from, id, |view, heads, item| {
            let plan = Plan::parse(self.query)?;
            let records = view.catalogue.related(from, item.id(), to);
            let records = records.map(RenderedRecord::fields);
            Ok(self.selected(&plan, view, heads, to, records))
        })
    }

    /// `/db`, and any other path of one segment.
    pub(crate) fn db(&self, name: &str) -> Response<Bytes> {
        if name.eq_ignore_ascii_case("db") {
            self.answer(|view, heads| Ok(self.whole(&view.catalogue.db, heads)))
        } else {
            self.nothing()
        }
    }

    /// Any path that leads nowhere.
    pub(crate) fn nothing(&self) -> Response<Bytes> {
        respond::not_found(self.headers)
    }

    /// What the query asks for; `None` if it leaves the rendered body as it is.
    fn plan(
        &self,
        parse: impl FnOnce(&str) -> Result<Plan, BadQuery>,
    ) -> Result<Option<Plan>, BadQuery> {
        if self.query.is_empty() {
            return Ok(None);
        }
        parse(self.query).map(|plan| (!plan.is_plain()).then_some(plan))
    }

    fn answer(
        &self,
        answer: impl FnOnce(&View, &Heads) -> Result<Response<Bytes>, BadQuery>,
    ) -> Response<Bytes> {
        let Some(view) = self.view else {
            return problems::not_ready();
        };
        let cache_control = &self.setup.cache_control;
        let answer = |heads: &Heads| answer(view, heads);
        let answered = view.freshness.with_heads(Utc::now(), cache_control, answer);
        answered.unwrap_or_else(|bad| problems::bad_query(&bad))
    }

    fn with_item(
        &self,
        collection: Collection,
        id: &str,
        answer: impl FnOnce(&View, &Heads, &RenderedRecord) -> Result<Response<Bytes>, BadQuery>,
    ) -> Response<Bytes> {
        let id = match decode(id) {
            Ok(id) => id,
            Err(problem) => return problems::bad_parameter("id", problem),
        };
        self.answer(|view, heads| {
            if let Some(item) = view.catalogue.collections[collection].item(&id) {
                return answer(view, heads, item);
            }
            let status = StatusCode::NOT_FOUND;
            let Some(plan) = self.plan(Plan::parse_for_record)? else {
                return Ok(respond::with_body(status, &NOTHING, self.headers, heads));
            };
            Ok(self.rendered(status, heads, &plan, "{}".into()))
        })
    }

    /// A body that is the same for every client.
    fn whole(&self, body: &Body, heads: &Heads) -> Response<Bytes> {
        respond::with_body(StatusCode::OK, body, self.headers, heads)
    }

    /// A page on which posters may be.
    fn with_posters(&self, mut page: Response<Bytes>) -> Response<Bytes> {
        if self.setup.posters == Posters::On {
            security_headers::allow_posters(page.headers_mut());
        }
        page
    }

    /// The records that a plan selects.
    fn selected<'a>(
        &self,
        plan: &Plan,
        view: &View,
        heads: &Heads,
        collection: Collection,
        records: impl IntoIterator<Item = &'a Map<String, Value>>,
    ) -> Response<Bytes> {
        let resolve = |link: &str| view.catalogue.resolve(link);
        let Selection {
            records,
            total,
            links,
        } = plan.apply(records, &resolve);
        let json = view.catalogue.list(collection, &records);
        let mut response = self.rendered(StatusCode::OK, heads, plan, json);
        if let Some(total) = total {
            response.headers_mut().insert(X_TOTAL_COUNT, total.into());
        }
        if let Some(link) = links.and_then(|links| self.link(&links)) {
            response.headers_mut().insert(LINK, link);
        }
        response
    }

    /// The `Link` header (RFC 8288). It repeats path and query as the client wrote them.
    fn link(&self, links: &PageLinks) -> Option<HeaderValue> {
        let url = format!("{}{}", self.setup.base, self.path);
        HeaderValue::try_from(links.header(&url)).ok()
    }

    fn rendered(
        &self,
        status: StatusCode,
        heads: &Heads,
        plan: &Plan,
        json: String,
    ) -> Response<Bytes> {
        let body = match plan.callback() {
            None => Body::uncompressed(JSON, json),
            Some(name) => {
                // JSON allows these characters; before ES2019, JavaScript reads them as line ends.
                let json = json
                    .replace('\u{2028}', "\\u2028")
                    .replace('\u{2029}', "\\u2029");
                let call = format!("/**/ typeof {name} === 'function' && {name}({json});");
                Body::uncompressed(JSONP, call)
            }
        };
        respond::with_body(status, &body, self.headers, heads)
    }
}

/// Decodes the percent escapes of a path segment.
fn decode(segment: &str) -> Result<Cow<'_, str>, &'static str> {
    if !segment.contains('%') {
        return Ok(segment.into());
    }
    let mut escapes = segment.split('%').skip(1);
    let is_escape = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err("`id` has a `%` that is not followed by two hexadecimal digits");
    }
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded.map_err(|_| "`id` is not UTF-8 once its escapes are decoded")
}
