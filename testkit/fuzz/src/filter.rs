//! Any request, to the whole service without sockets.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::service::Service;
use poller::cycle::step::{Trust, advance, built_in};
use poller::upstream::Fetched;
use serde_json::Value;
use server::config::Posters;
use server::events::Events;
use server::follow::Known;
use server::http::guard;
use server::http::handlers::Setup;
use server::publish::{self, Published};
use server::query::pool::QueryLoad;
use server::render::Links;
use server::status::Watched;
use shared::catalogue::{Listing, PerCollection};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

type Head = Request<Empty<Bytes>>;
type Answering = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

struct Mirror {
    runtime: Runtime,
    ask: Box<dyn Fn(Head) -> Answering + Send + Sync>,
}

/// A mirror of the awkward catalogue; its clock stops once everything is published.
static MIRROR: LazyLock<Mirror> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let published = runtime.block_on(publish_catalogue());
    let setup = Setup {
        base: "https://mirror.example".into(),
        cache_control: HeaderValue::from_static("no-cache"),
        posters: Posters::On,
        server_timing: false,
        watched: Watched::new(watch::channel(Known::default()).1),
        queries: QueryLoad::default(),
        events: Events::new(0),
    };
    let service = guard::service(published, setup);
    Mirror {
        runtime,
        ask: Box::new(move |request| {
            let answer = service.call(request);
            Box::pin(async {
                let Ok::<_, Infallible>(answer) = answer.await;
                let (head, body) = answer.into_parts();
                let body = body.collect().await.expect("is in memory");
                Response::from_parts(head, body.to_bytes())
            })
        }),
    }
});

async fn publish_catalogue() -> Published {
    let at = DateTime::from_timestamp(1_800_000_000, 0).expect("is in range");
    let text = include_str!("../../oracle/catalogue.json");
    let catalogue: Value = serde_json::from_str(text).expect("JSON");
    let fetched = PerCollection::from_fn(|collection| Fetched::Sent {
        listing: Listing::read(catalogue[collection.name()].to_string().as_bytes())
            .expect("a collection"),
        etag: None,
        seen: String::new(),
    });
    let upstream = "https://example.org";
    let snapshot = advance(
        &built_in(upstream, at),
        upstream,
        &fetched,
        Trust::Suspicious,
        at,
    )
    .snapshot;
    let mut known = Known::default();
    known.put(snapshot);
    let (sender, receiver) = watch::channel(Known::default());
    let published = Published::default();
    let links = Links::To("https://mirror.example".into());
    let publishing = tokio::spawn(publish::run(
        receiver,
        links,
        String::new(),
        Posters::On,
        published.clone(),
        Events::new(0),
    ));
    sender.send(known).expect("is listened to");
    while published.load().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    publishing.abort();
    published
}

/// The input is the head of a request as a client sends it: a request line, then one header on each
/// line. The check ignores an input that is not a request.
pub fn check(input: &[u8]) {
    let Some((method, target, headers)) = read(input) else {
        return;
    };
    let ask = |method: &Method, extra: Option<(HeaderName, &HeaderValue)>| {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.clone();
        request.headers_mut().clone_from(&headers);
        if let Some((name, value)) = extra {
            request.headers_mut().insert(name, value.clone());
        }
        MIRROR.runtime.block_on((MIRROR.ask)(request))
    };
    let answer = ask(&method, None);
    assert!(answer.status().as_u16() < 500, "{answer:?}");
    assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    match method {
        Method::GET => {
            agrees_with_itself(&answer);
            agrees_with_head(&answer, &ask(&Method::HEAD, None));
            if let Some(etag) = answer.headers().get(ETAG) {
                revalidates(
                    &answer,
                    &headers,
                    &ask(&method, Some((IF_NONE_MATCH, etag))),
                );
            }
        }
        Method::HEAD => agrees_with_head(&ask(&Method::GET, None), &answer),
        Method::OPTIONS => assert_eq!(answer.status(), StatusCode::NO_CONTENT),
        _ => {
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[ALLOW], "GET, HEAD, OPTIONS");
        }
    }
}

fn read(input: &[u8]) -> Option<(Method, http::Uri, HeaderMap)> {
    let mut lines = input
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = http::Uri::try_from(words.next()?).ok()?;
    let mut headers = HeaderMap::new();
    // As many headers as the accept loop allows.
    for line in lines.take(64) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at_checked(colon?)?;
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?;
        headers.append(name, value);
    }
    Some((method, target, headers))
}

/// The headers describe the body correctly.
fn agrees_with_itself(answer: &Response<Bytes>) {
    let (status, headers, body) = (answer.status(), answer.headers(), answer.body());
    match status {
        StatusCode::OK => assert!(headers.contains_key(ETAG), "{answer:?}"),
        StatusCode::NOT_MODIFIED => assert!(headers.contains_key(ETAG) && body.is_empty()),
        StatusCode::FOUND => assert!(headers.contains_key(LOCATION)),
        StatusCode::BAD_REQUEST => {
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        }
        StatusCode::NOT_FOUND => {}
        other => panic!("{other} is no answer to a GET"),
    }
    if !body.is_empty() {
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
    }
    let plain = match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None => body.to_vec(),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&body[..]);
            std::io::copy(&mut decoder, &mut plain).expect("is gzip");
            plain
        }
        Some(b"br") => {
            let mut plain = Vec::new();
            brotli::BrotliDecompress(&mut &body[..], &mut plain).expect("is Brotli");
            plain
        }
        other => panic!("an unknown coding: {other:?}"),
    };
    let content_type = headers.get(CONTENT_TYPE).map(|kind| kind.to_str());
    if let Some(Ok(content_type)) = content_type {
        let text = str::from_utf8(&plain).expect("everything here is UTF-8");
        if content_type.contains("json") {
            serde_json::from_str::<Value>(text).expect("is JSON, as it says");
        }
        if content_type.starts_with("text/javascript") {
            assert!(text.starts_with("/**/ typeof "), "{text}");
        }
    }
}

fn agrees_with_head(get: &Response<Bytes>, head: &Response<Bytes>) {
    assert_eq!(head.status(), get.status());
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, ETAG] {
        assert_eq!(
            head.headers().get(&name),
            get.headers().get(&name),
            "{name}"
        );
    }
}

/// A client that names the body it has gets no body again, unless it insists.
fn revalidates(answer: &Response<Bytes>, asked: &HeaderMap, again: &Response<Bytes>) {
    let insists = asked.get_all(CACHE_CONTROL).into_iter().any(|line| {
        let line = line.to_str().unwrap_or_default();
        line.to_ascii_lowercase().contains("no-cache")
    });
    if answer.status() == StatusCode::OK && !insists {
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.body().is_empty());
    }
    assert_eq!(again.headers().get(ETAG), answer.headers().get(ETAG));
}
