//! The answer to `/events`: the only one without an end. It is made beside the routes, whose answers
//! are bytes.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;

use crate::events::{Events, Position, Refusal, Subscription};
use crate::http::heads::PLAIN;
use crate::http::problems;

/// The id of the last event that a client has. Browsers send it when they connect again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The parameter for clients that cannot send a header.
const SINCE: &str = "since";

/// The body of `/events`.
pub(super) type Streamed = StreamBody<Pin<Box<dyn Stream<Item = Sent> + Send>>>;

type Sent = Result<Frame<Bytes>, Infallible>;

/// Whether a path is that of the events.
pub(super) fn is_events(path: &str) -> bool {
    matches!(path, "/events" | "/events/")
}

/// Answers with the events, or with a problem.
pub(super) fn answer<B>(
    request: &Request<B>,
    events: &Events,
) -> Result<Response<Streamed>, Box<Response<Bytes>>> {
    let since = since(request).map_err(|_| {
        Box::new(problems::bad_parameter(
            SINCE,
            "`since` must be the id of an event, or the number of a release; 0 for all",
        ))
    })?;
    let subscription = events.subscribe(since).map_err(refused)?;
    let mut response = Response::new(body(subscription));
    *response.headers_mut() = head();
    Ok(response)
}

/// Answers HEAD, which needs no place.
pub(super) fn answer_head() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = head();
    response
}

/// The event after which to begin. A header that cannot be read is ignored, because a browser sends
/// it unasked.
fn since<B>(request: &Request<B>) -> Result<Option<Position>, std::num::ParseIntError> {
    let last = request.headers().get(&LAST_EVENT_ID);
    let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
    if last.is_some() {
        return Ok(last);
    }
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let given = pairs.find(|(name, _)| name == SINCE);
    given.map(|(_, id)| id.parse()).transpose()
}

fn head() -> HeaderMap {
    let mut head = PLAIN.empty.clone();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // nginx would hold events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        // The connection is none of the limited ones, so it ends with the stream.
        (CONNECTION, "close"),
    ] {
        head.insert(name, HeaderValue::from_static(value));
    }
    head
}

fn body(subscription: Subscription) -> Streamed {
    let frames = unfold(subscription, async |mut subscription| {
        let news = subscription.next().await?;
        Some((Ok(Frame::data(news)), subscription))
    });
    StreamBody::new(Box::pin(frames))
}

fn refused(why: Refusal) -> Box<Response<Bytes>> {
    Box::new(match why {
        Refusal::NotReady => problems::not_ready(),
        Refusal::Full => {
            let detail = "too many clients follow the events of this server; /changes and the \
                          feeds have the same releases";
            let mut response = problems::later(StatusCode::SERVICE_UNAVAILABLE, detail, 60);
            // Clients that are refused must not take the places of others.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            response
        }
    })
}
