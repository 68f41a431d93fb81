//! How each fault looks on the wire.

use std::io::{Error, ErrorKind, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use super::body::{Body, JSON, empty, finish, plain, pretty};
use super::fault::Fault;
use super::spoilt::{with_duplicate, with_half_emoji, with_nesting};
use super::state::State;
use super::target::Target;

/// The time between two bytes of a slow body.
const DRIP: Duration = Duration::from_millis(100);

/// The time between the first half of a body and the break, so that the half arrives.
const BEFORE_BREAK: Duration = Duration::from_millis(50);

/// Answers with a fault; an error breaks the connection.
pub(super) async fn answer<B>(
    state: &Arc<State>,
    request: &Request<B>,
    target: &Target<'_>,
    fault: Fault,
    wants_reset: &Arc<AtomicBool>,
) -> Result<Response<Body>, Error> {
    let honest = || {
        let catalogue = state.catalogue();
        target
            .find(&catalogue)
            .cloned()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    };
    let ok = |content_type, text: &str| plain(state, request, StatusCode::OK, content_type, text);
    let short = |status, text| plain(state, request, status, "text/plain; charset=utf-8", text);

    Ok(match fault {
        Fault::Refuse => {
            wants_reset.store(true, Ordering::Relaxed);
            return Err(broken());
        }
        Fault::Stall => std::future::pending().await,
        Fault::Drip => {
            let text = pretty(&honest());
            announced(state, request, text.len(), drip(text))
        }
        Fault::ResetMidBody | Fault::Truncate => {
            let reset = (fault == Fault::ResetMidBody).then(|| Arc::clone(wants_reset));
            let text = pretty(&honest());
            announced(state, request, text.len(), half(&text, reset))
        }
        Fault::Html => ok("text/html; charset=utf-8", PAGE),
        Fault::EmptyObject => ok(JSON, "{}"),
        Fault::EmptyList => ok(JSON, "[]"),
        Fault::NotJson => {
            let text = pretty(&honest());
            ok(
                JSON,
                &String::from_utf8_lossy(&text.as_bytes()[..text.len() / 2]),
            )
        }
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
            short(status, status.canonical_reason().unwrap_or("no reason"))
        }
        Fault::RateLimited { retry_after } => {
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            let mut response = short(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            response
        }
        Fault::RedirectTo(location) => {
            let mut response = short(StatusCode::FOUND, "Found");
            let location = location
                .parse()
                .expect("a location that fits into a header");
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Fault::Answer { status, headers } => {
            let mut response = ok(JSON, &pretty(&honest()));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            for (name, value) in headers {
                let value = value.parse().expect("a value that fits into a header");
                response.headers_mut().append(name, value);
            }
            response
        }
        Fault::Sends(text) => ok(JSON, &text),
        Fault::Exactly {
            status,
            headers,
            body,
        } => exactly(state, request, status, headers, body),
        Fault::GzipBomb { decompressed_bytes } => {
            let encoder = GzEncoder::new(Vec::new(), Compression::best());
            bomb(
                state,
                request,
                "gzip",
                Encoder::Gzip(encoder),
                decompressed_bytes,
            )
        }
        Fault::BrotliBomb { decompressed_bytes } => {
            let encoder = CompressorWriter::new(Vec::new(), 4096, 5, 22);
            bomb(
                state,
                request,
                "br",
                Encoder::Brotli(Box::new(encoder)),
                decompressed_bytes,
            )
        }
        Fault::DuplicateIds => ok(JSON, &pretty(&with_duplicate(honest()))),
        Fault::HalfEmoji => ok(JSON, &with_half_emoji(honest())),
        Fault::DeeplyNested { depth } => ok(JSON, &with_nesting(&honest(), depth)),
    })
}

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Unavailable</title></head>\
                    <body><h1>This deployment is temporarily paused</h1></body></html>\n";

fn broken() -> Error {
    Error::new(ErrorKind::ConnectionAborted, "broken on purpose")
}

/// A JSON answer that announces its length, even if its body fails later.
fn announced<B>(
    state: &Arc<State>,
    request: &Request<B>,
    length: usize,
    body: impl Stream<Item = Result<Bytes, Error>> + Send + Sync + 'static,
) -> Response<Body> {
    let response = Response::builder()
        .header(CONTENT_TYPE, JSON)
        .header(CONTENT_LENGTH, length);
    finish(response, streamed(state, request, body))
}

/// A body with its length and only these headers.
fn exactly<B>(
    state: &Arc<State>,
    request: &Request<B>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_LENGTH, body.len());
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let body = stream::iter([Ok(Bytes::from(body))]);
    finish(response, streamed(state, request, body))
}

/// A body that counts its bytes as they leave.
fn streamed<B>(
    state: &Arc<State>,
    request: &Request<B>,
    body: impl Stream<Item = Result<Bytes, Error>> + Send + Sync + 'static,
) -> Body {
    if request.method() == Method::HEAD {
        return empty();
    }
    let state = Arc::clone(state);
    let counted = body.map(move |chunk| {
        chunk.map(|bytes| {
            state.journal.body_bytes(bytes.len());
            Frame::data(bytes)
        })
    });
    BodyExt::boxed(StreamBody::new(counted))
}

fn drip(text: String) -> impl Stream<Item = Result<Bytes, Error>> {
    stream::unfold(Bytes::from(text), async |mut rest| {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(DRIP).await;
        let drop = rest.split_to(1);
        Some((Ok(drop), rest))
    })
}

/// Sends half of the text and then breaks: with a reset if the connection can be reset.
fn half(
    text: &str,
    reset: Option<Arc<AtomicBool>>,
) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
    let first = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    stream::iter([Ok(first)]).chain(stream::once(async move {
        tokio::time::sleep(BEFORE_BREAK).await;
        if let Some(reset) = reset {
            reset.store(true, Ordering::Relaxed);
        }
        Err(broken())
    }))
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl Encoder {
    /// Accepts more input, and returns the bytes that are ready to send.
    fn write(&mut self, chunk: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder
                .write_all(chunk)
                .map(|()| std::mem::take(encoder.get_mut())),
            Self::Brotli(encoder) => encoder
                .write_all(chunk)
                .map(|()| std::mem::take(encoder.get_mut())),
        }
        .expect("compressing into memory does not fail")
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder
                .finish()
                .expect("compressing into memory does not fail"),
            Self::Brotli(encoder) => encoder.into_inner(),
        }
    }
}

/// Compresses spaces as the client reads them, so that the bomb does not fill this side's memory.
fn bomb<B>(
    state: &Arc<State>,
    request: &Request<B>,
    coding: &'static str,
    encoder: Encoder,
    size: usize,
) -> Response<Body> {
    const CHUNK: usize = 1 << 20;
    let body = stream::unfold((Some(encoder), 0), move |(encoder, written)| async move {
        let mut encoder = encoder?;
        let end = size.min(written + CHUNK);
        let mut chunk = vec![b' '; end - written];
        if let (0, Some(first)) = (written, chunk.first_mut()) {
            *first = b'[';
        }
        if let (true, Some(last)) = (end == size, chunk.last_mut()) {
            *last = b']';
        }
        let mut ready = encoder.write(&chunk);
        // Between two chunks, lets the connection write and the client give up.
        tokio::task::yield_now().await;
        if end == size {
            ready.extend(encoder.finish());
            return Some((Ok(Bytes::from(ready)), (None, end)));
        }
        Some((Ok(Bytes::from(ready)), (Some(encoder), end)))
    });
    let response = Response::builder()
        .header(CONTENT_TYPE, JSON)
        .header(CONTENT_ENCODING, coding);
    finish(response, streamed(state, request, body))
}
