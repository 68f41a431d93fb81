//! The operators' side door of either process, on an address of its own, and the health check
//! that knocks on it.
//!
//! | path | answers |
//! |---|---|
//! | `/livez` | 200 while the process can answer at all |
//! | `/readyz` | 200 when it can do its work; before, 503 problem+json that says what is missing |
//!
//! Never serves the catalogue, and is never reachable through the edge.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;

use crate::http::{Limits, serve};

/// What `/readyz` answers: nothing wrong, or what is missing.
pub type Readiness = Result<(), String>;

/// Few clients come here: a supervisor, a scraper, a person.
const LIMITS: Limits = Limits {
    connections: 64,
    head_time: Duration::from_secs(30),
    headers: 64,
    head_bytes: 16 << 10,
    drain_time: Duration::from_secs(1),
};

/// How long a health check waits for its answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves the side door until `shutdown` resolves. `ready` is asked at each `/readyz`.
pub async fn run(
    listener: TcpListener,
    ready: impl Fn() -> Readiness + Clone + Send + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let service = service_fn(move |request| std::future::ready(Ok(answer(&request, &ready))));
    serve(listener, service, LIMITS, shutdown).await;
}

fn answer(request: &Request<Incoming>, ready: &impl Fn() -> Readiness) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/livez" => text("live\n"),
        "/readyz" => match ready() {
            Ok(()) => text("ready\n"),
            Err(missing) => problem(StatusCode::SERVICE_UNAVAILABLE, &missing),
        },
        _ => problem(StatusCode::NOT_FOUND, "here are /livez and /readyz"),
    }
}

/// Asks another process of this kind whether it is ready; what `ghibli-… health` does.
///
/// # Errors
/// What it answered instead, or why it could not be asked.
pub fn check(address: SocketAddr) -> anyhow::Result<()> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut stream = TcpStream::connect_timeout(&(ip, address.port()).into(), CHECK_TIMEOUT)?;
    stream.set_read_timeout(Some(CHECK_TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(16 << 10).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    anyhow::ensure!(
        head.starts_with("HTTP/1.1 200"),
        "not ready: {}",
        body.trim()
    );
    Ok(())
}

fn text(body: &'static str) -> Response<Full<Bytes>> {
    respond(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Bytes::from_static(body.as_bytes()),
    )
}

/// An answer after RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    let title = status.canonical_reason();
    let body = serde_json::json!({"title": title, "status": status.as_u16(), "detail": detail});
    respond(status, "application/problem+json", body.to_string().into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
