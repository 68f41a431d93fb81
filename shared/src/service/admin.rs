//! The operator's endpoint of either process, on an address of its own, and the health check that
//! calls it.
//!
//! | path | answers |
//! |---|---|
//! | `/livez` | 200 while the process can answer at all |
//! | `/readyz` | 200 when it can do its work; before that, 503 problem+json says what is missing |
//! | `/metrics` | figures for Prometheus |
//! | POST to another path | the result of that admin command, if the process takes any |
//!
//! Never serves the catalogue; Traefik does not route to it. Takes admin commands from the command
//! line only, and only from the machine or the container where the process runs: others may reach
//! this address for its metrics, and an admin command changes the cache. A page in a browser on the
//! same machine can reach this address too, even as a page of the same origin (DNS rebinding: the
//! page makes its own host name resolve to this address). So it refuses an admin command whose
//! `Host` is neither an IP address nor `localhost`, or whose headers show that a browser sent it.
//! Health is no secret, and is answered under any host name.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::service::http::{Limits, Malformed, serve_each};
use crate::service::metrics::{self, Metrics};

/// The answer to `/readyz`: `Ok`, or what is missing.
pub type Readiness = Result<(), String>;

/// Few clients connect here: a supervisor, a metrics scraper, a person.
const LIMITS: Limits = Limits {
    connections: 64,
    streams: 0,
    head_time: Duration::from_secs(30),
    headers: 64,
    head_bytes: 16 << 10,
    drain_time: Duration::from_secs(1),
};

/// How long a health check waits for its answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the sender of an admin command waits for its result.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(1);

/// The largest document that an admin command may carry, in bytes: eighty times today's snapshot.
pub const MAX_DOCUMENT: usize = 16 << 20;

/// How long a document may take to arrive.
const DOCUMENT_TIME: Duration = Duration::from_secs(10);

/// Every admin command carries this header. A page in a browser cannot send it to another origin.
/// It keeps its name, so that a command line of another version can still talk to this process.
const COMMAND_HEADER: &str = "x-ghibli-order";

/// Browsers set these headers to say where a request comes from; pages cannot remove them.
const FETCH_SITE: &str = "sec-fetch-site";

/// An admin command, as a running process receives it.
#[derive(Debug)]
pub struct AdminRequest {
    /// The path that it was sent to.
    pub path: String,
    /// What follows the `?`, without it; often nothing.
    pub query: String,
    /// The document that comes with it, at most [`MAX_DOCUMENT`] bytes; often empty.
    pub document: Bytes,
    /// Receives the result, as text for that person.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// Serves the endpoint until `shutdown` resolves. Calls `ready` at each `/readyz`. Sends posted
/// admin commands to `commands`, if the process takes any.
pub async fn run(
    listener: TcpListener,
    ready: impl Fn() -> Readiness + Clone + Send + Sync + 'static,
    commands: Option<mpsc::Sender<AdminRequest>>,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) {
    let services = |stream: &tokio::net::TcpStream| {
        let is_from_here = match (stream.peer_addr(), stream.local_addr()) {
            (Ok(peer), Ok(own)) => is_same_machine(peer.ip(), own.ip()),
            _ => false,
        };
        let (ready, commands, metrics) = (ready.clone(), commands.clone(), metrics.clone());
        service_fn(move |request: Request<Incoming>| {
            let (ready, commands, metrics) = (ready.clone(), commands.clone(), metrics.clone());
            async move {
                if let Some(why) = request.extensions().get::<Malformed>() {
                    return Ok(problem(StatusCode::BAD_REQUEST, &why.to_string()));
                }
                Ok(match (request.method(), commands) {
                    (&Method::GET | &Method::HEAD, _) => look(&request, &ready, &metrics),
                    (&Method::POST, Some(_)) if !is_from_here => problem(
                        StatusCode::FORBIDDEN,
                        "admin commands come from the machine or the container where this process runs",
                    ),
                    (&Method::POST, Some(commands)) => take(request, &commands).await,
                    _ => {
                        let mut response =
                            problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
                        response
                            .headers_mut()
                            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                        response
                    }
                })
            }
        })
    };
    serve_each(listener, services, LIMITS, shutdown).await;
}

/// Whether the client of a connection is on the same machine, as its address shows: a loopback
/// address, or the one that it connected to.
fn is_same_machine(peer: IpAddr, own: IpAddr) -> bool {
    let (peer, own) = (peer.to_canonical(), own.to_canonical());
    peer.is_loopback() || peer == own
}

fn look(
    request: &Request<Incoming>,
    ready: &impl Fn() -> Readiness,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/livez" => text("live\n".into()),
        "/readyz" => match ready() {
            Ok(()) => text("ready\n".into()),
            Err(missing) => problem(StatusCode::SERVICE_UNAVAILABLE, &missing),
        },
        "/metrics" => {
            let accepted = request.headers().get_all(ACCEPT).iter();
            let mut accepted = accepted.filter_map(|accept| accept.to_str().ok());
            let (content_type, page) =
                if accepted.any(|accept| accept.contains("application/openmetrics-text")) {
                    (metrics::OPEN_METRICS, metrics.open_metrics())
                } else {
                    (metrics::TEXT, metrics.text())
                };
            respond(StatusCode::OK, content_type, page.into())
        }
        _ => problem(
            StatusCode::NOT_FOUND,
            "here are /livez, /readyz and /metrics",
        ),
    }
}

async fn take(
    request: Request<Incoming>,
    commands: &mpsc::Sender<AdminRequest>,
) -> Response<Full<Bytes>> {
    if let Some(reason) = reason_to_refuse(&request) {
        return problem(StatusCode::FORBIDDEN, reason);
    }
    // Before the document is read, so that only one is in memory.
    let Ok(place) = commands.try_reserve() else {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy with another admin command",
        );
    };
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_DOCUMENT).collect();
    let document = match tokio::time::timeout(DOCUMENT_TIME, body).await {
        Ok(Ok(document)) => document.to_bytes(),
        Ok(Err(_)) => {
            let reason = format!("the document is incomplete, or larger than {MAX_DOCUMENT} bytes");
            return problem(StatusCode::BAD_REQUEST, &reason);
        }
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the document does not arrive"),
    };
    let (reply, outcome) = oneshot::channel();
    place.send(AdminRequest {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        document,
        reply,
    });
    match tokio::time::timeout(COMMAND_TIMEOUT, outcome).await {
        Ok(Ok(Ok(done))) => text(format!("{done}\n").into()),
        Ok(Ok(Err(refusal))) => problem(StatusCode::CONFLICT, &refusal),
        Ok(Err(_)) => problem(StatusCode::SERVICE_UNAVAILABLE, "the process is stopping"),
        Err(_) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "not done yet; the log will report it",
        ),
    }
}

/// Why an admin command does not seem to come from the command line; `None` when it does.
fn reason_to_refuse<B>(command: &Request<B>) -> Option<&'static str> {
    let headers = command.headers();
    if headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE) {
        return Some(
            "admin commands come from the command line, and this one comes from a browser",
        );
    }
    if !headers.contains_key(COMMAND_HEADER) {
        return Some("admin commands come from the command line");
    }
    let mut hosts = headers.get_all(HOST).iter();
    let is_here = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).is_ok_and(|it| is_local(&it)),
        _ => false,
    };
    // The request target may name a host as well; then that host counts.
    if !is_here
        || command
            .uri()
            .authority()
            .is_some_and(|host| !is_local(host))
    {
        return Some("the Host of an admin command has to be one IP address, or localhost");
    }
    None
}

/// Whether a host is an IP address or `localhost`, which no name server can redirect.
fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_address = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    };
    let has_user = authority.as_str().contains('@');
    !has_user && (is_address || host.eq_ignore_ascii_case("localhost"))
}

/// Asks another process of this kind whether it is ready; what `ghibli-… health` does.
///
/// # Errors
/// The answer, if it is not "ready", or the reason why there was none.
pub fn check(address: SocketAddr) -> anyhow::Result<()> {
    ask(address, "GET /readyz", &[], CHECK_TIMEOUT).map(|_| ())
}

/// Whether a process of this kind answers at the address, ready or not.
pub fn is_answering(address: SocketAddr) -> bool {
    ask(address, "GET /livez", &[], CHECK_TIMEOUT).is_ok()
}

/// Sends an admin command, with a document or an empty one, to another process of this kind. Returns
/// the result. `target` is a path, perhaps with a query.
///
/// # Errors
/// The process's refusal, or the reason why it could not be reached.
pub fn send(address: SocketAddr, target: &str, document: &[u8]) -> anyhow::Result<String> {
    let request = format!("POST {target}");
    ask(address, &request, document, COMMAND_TIMEOUT + CHECK_TIMEOUT)
}

fn ask(
    address: SocketAddr,
    request: &str,
    document: &[u8],
    time_limit: Duration,
) -> anyhow::Result<String> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let host = SocketAddr::new(ip, address.port());
    let mut stream = TcpStream::connect_timeout(&host, CHECK_TIMEOUT)
        .with_context(|| format!("nobody answers at {address}"))?;
    stream.set_read_timeout(Some(time_limit))?;
    stream.set_write_timeout(Some(DOCUMENT_TIME))?;
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: {host}\r\n{COMMAND_HEADER}: 1\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        document.len()
    )?;
    // The process may refuse the command before it has read the document. Its answer says why.
    let sent = stream.write_all(document);
    let mut answer = String::new();
    let answered = stream.take(1 << 20).read_to_string(&mut answer);
    if answer.is_empty() {
        sent?;
        answered?;
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str());
    anyhow::ensure!(
        head.starts_with("HTTP/1.1 200"),
        "{}",
        detail.unwrap_or(body.trim())
    );
    Ok(body.trim().to_owned())
}

fn text(body: Bytes) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "text/plain; charset=utf-8", body)
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
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(target: &str, fields: &[(&str, &str)]) -> Option<&'static str> {
        let request = Request::post(target).header(COMMAND_HEADER, "1");
        let add = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        let request = fields.iter().fold(request, add);
        reason_to_refuse(&request.body(()).expect("a request"))
    }

    #[test]
    fn admin_commands_come_from_the_same_machine() {
        let is = |peer: &str, own: &str| {
            is_same_machine(peer.parse().expect("an IP"), own.parse().expect("an IP"))
        };
        for (peer, own) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.9", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7", "::ffff:10.0.0.7"),
        ] {
            assert!(is(peer, own), "{peer} {own}");
        }
        for (peer, own) in [
            ("10.0.0.8", "10.0.0.7"),
            ("::ffff:10.0.0.8", "::ffff:10.0.0.7"),
            ("172.18.0.1", "172.18.0.3"),
            ("fe80::1", "::1"),
        ] {
            assert!(!is(peer, own), "{peer} {own}");
        }
    }

    #[test]
    fn an_admin_command_names_this_address_by_ip_or_as_localhost() {
        for host in [
            "127.0.0.1:9091",
            "127.0.0.1",
            "[::1]:9091",
            "[::1]",
            "10.0.0.7:9091",
            "localhost",
            "LocalHost:9091",
        ] {
            assert_eq!(refusal("/prune", &[("host", host)]), None, "{host}");
        }
        for host in [
            "rebind.example:9091",
            "admin",
            "localhost.rebind.example",
            "127.0.0.1.rebind.example",
            "127.0.0.1@rebind.example",
            "rebind.example@127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "::1",
            "[::1",
            "[rebind.example]",
            "[127.0.0.1]",
            "127.0.0.1, rebind.example",
            "127.0.0.1 rebind.example",
            "",
        ] {
            assert!(refusal("/prune", &[("host", host)]).is_some(), "{host}");
        }
    }

    #[test]
    fn an_admin_command_names_one_host_wherever_it_does() {
        let here = ("host", "127.0.0.1:9091");
        let there = ("host", "rebind.example");
        assert!(refusal("/prune", &[]).is_some(), "as HTTP/1.0 may");
        assert!(refusal("/prune", &[here, here]).is_some());
        assert!(refusal("/prune", &[here, there]).is_some());
        assert!(refusal("http://rebind.example/prune", &[here]).is_some());
        assert_eq!(refusal("http://127.0.0.1:9091/prune", &[here]), None);
    }

    #[test]
    fn an_admin_command_does_not_come_from_a_browser() {
        let here = ("host", "127.0.0.1:9091");
        for sign in [
            ("origin", "http://127.0.0.1:9091"),
            ("origin", "http://rebind.example:9091"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let reason = refusal("/prune", &[here, sign]).expect("a reason");
            assert!(reason.contains("browser"), "{sign:?}: {reason}");
        }
    }
}
