//! The answer for each kind of path, from the view that was current when the request came.
//!
//! Decides which body or selection a request gets. Waits for nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use shared::catalogue::Collection;

use crate::http::respond;
use crate::http::routes::Setup;
use crate::publish::View;
use crate::query::{BadQuery, Pages, Plan, Selection};
use crate::reference::Reference;
use crate::render::{Body, JSON, RenderedRecord, pretty};

/// The content type of JSONP (`?callback=`), as the upstream sends it.
const JSONP: &str = "text/javascript; charset=utf-8";

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// One request, and the data for its answer.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) view: Option<Arc<View>>,
    pub(crate) setup: Arc<Setup>,
    pub(crate) headers: HeaderMap,
    /// The path as the client wrote it.
    pub(crate) path: String,
    /// The query string, still with its escapes.
    pub(crate) query: String,
}

impl Context {
    /// `/movies`.
    pub(crate) fn movies(&self) -> Response<Bytes> {
        self.answer(|view| Ok(self.whole(&view.movies)))
    }

    /// `/docs`, which needs no catalogue.
    pub(crate) fn docs(&self, reference: &Reference) -> Response<Bytes> {
        self.whole(&reference.page)
    }

    /// `/openapi.json`, which needs no catalogue either.
    pub(crate) fn openapi(&self, reference: &Reference) -> Response<Bytes> {
        self.whole(&reference.document)
    }

    /// `/{collection}`.
    pub(crate) fn collection(&self, collection: Collection) -> Response<Bytes> {
        self.answer(|view| {
            let records = &view.site.shelves[collection];
            let plan = Plan::parse(&self.query)?;
            if plan.is_plain() {
                return Ok(self.whole(&records.body));
            }
            Ok(self.selected(&plan, view, records.fields()))
        })
    }

    /// `/{collection}/{id}`.
    pub(crate) fn record(&self, collection: Collection, id: &str) -> Response<Bytes> {
        self.with_item(collection, id, |view, item| {
            let plan = Plan::parse_for_record(&self.query)?;
            if plan.is_plain() {
                return Ok(self.whole(&item.body));
            }
            let record = plan.project(&item.fields, &|link| view.site.resolve(link));
            Ok(self.rendered(StatusCode::OK, &plan, &record))
        })
    }

    /// `/{collection}/{id}/{collection}`.
    pub(crate) fn related(&self, from: Collection, id: &str, to: Collection) -> Response<Bytes> {
        self.with_item(from, id, |view, item| {
            let plan = Plan::parse(&self.query)?;
            Ok(self.selected(&plan, view, view.site.related(from, item, to)))
        })
    }

    /// `/db`, and any other path of one segment.
    pub(crate) fn db(&self, name: &str) -> Response<Bytes> {
        if name.eq_ignore_ascii_case("db") {
            self.answer(|view| Ok(self.whole(&view.site.db)))
        } else {
            self.nothing()
        }
    }

    /// Any path that leads nowhere.
    pub(crate) fn nothing(&self) -> Response<Bytes> {
        respond::not_found(&self.headers)
    }

    fn answer(
        &self,
        answer: impl FnOnce(&View) -> Result<Response<Bytes>, BadQuery>,
    ) -> Response<Bytes> {
        let Some(view) = &self.view else {
            return respond::not_ready();
        };
        match answer(view) {
            Ok(mut response) => {
                let cache_control = self.setup.cache_control.clone();
                response.headers_mut().insert(CACHE_CONTROL, cache_control);
                respond::aged(response, view.status.as_ref())
            }
            Err(bad) => respond::bad_query(&bad),
        }
    }

    fn with_item(
        &self,
        collection: Collection,
        id: &str,
        answer: impl FnOnce(&View, &RenderedRecord) -> Result<Response<Bytes>, BadQuery>,
    ) -> Response<Bytes> {
        let id = match decode(id) {
            Ok(id) => id,
            Err(problem) => return respond::bad_parameter("id", problem),
        };
        self.answer(|view| {
            if let Some(item) = view.site.shelves[collection].item(&id) {
                return answer(view, item);
            }
            let plan = Plan::parse_for_record(&self.query)?;
            Ok(self.rendered(StatusCode::NOT_FOUND, &plan, &Map::<String, Value>::new()))
        })
    }

    /// A body that is the same for every client.
    fn whole(&self, body: &Body) -> Response<Bytes> {
        respond::with_body(StatusCode::OK, body, &self.headers)
    }

    /// The records that a plan selects.
    fn selected<'a>(
        &self,
        plan: &Plan,
        view: &View,
        records: impl IntoIterator<Item = &'a Map<String, Value>>,
    ) -> Response<Bytes> {
        let resolve = |link: &str| view.site.resolve(link);
        let Selection {
            records,
            total,
            links,
        } = plan.apply(records, &resolve);
        let mut response = self.rendered(StatusCode::OK, plan, &records);
        if let Some(total) = total {
            response.headers_mut().insert(X_TOTAL_COUNT, total.into());
        }
        if let Some(link) = links.and_then(|links| self.link(&links)) {
            response.headers_mut().insert(LINK, link);
        }
        response
    }

    /// The `Link` header (RFC 8288). It repeats path and query as the client wrote them.
    fn link(&self, links: &Pages) -> Option<HeaderValue> {
        let url = format!("{}{}", self.setup.base, self.path);
        HeaderValue::try_from(links.header(&url)).ok()
    }

    fn rendered(
        &self,
        status: StatusCode,
        plan: &Plan,
        value: &impl serde::Serialize,
    ) -> Response<Bytes> {
        let json = pretty(value);
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
        respond::with_body(status, &body, &self.headers)
    }
}

/// Decodes the percent escapes of a path segment.
fn decode(segment: &str) -> Result<String, &'static str> {
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
    decoded
        .map(String::from)
        .map_err(|_| "`id` is not UTF-8 once its escapes are decoded")
}
