//! The edge: Traefik in front of readers, on machines that have it.
//!
//! Uses the stack's own files: routing is `deploy/traefik/edge.yml`; time-outs come from
//! `docker-compose.yml`. Three things differ without Docker. A file lists the readers. Traefik asks
//! for their health on their public ports, because on one machine they cannot share an admin port.
//! Traefik also asks readers that have loaded nothing yet, so after their 503 it asks another
//! reader.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::client::{Response, try_get};
use crate::process::{Process, binaries, installed};
use crate::{TIME_LIMIT, eventually, free_port};

const PROGRAM: &str = "traefik";

const ROUTING: &str = include_str!("../../deploy/traefik/edge.yml");
const COMPOSE: &str = include_str!("../../docker-compose.yml");

/// How long the edge may take for one request: its last retry begins within 8 s.
pub const ANSWER: Duration = Duration::from_secs(12);

/// Whether this machine has Traefik.
pub fn can_stand() -> bool {
    installed(PROGRAM).next().is_some()
}

/// A running Traefik, with its fallback.
#[derive(Debug)]
pub struct Edge {
    /// The URL for clients.
    pub url: String,
    /// `host:port` of Traefik's metrics, at `/metrics`.
    pub metrics_address: String,
    _fallback: Process,
    _traefik: Process,
}

impl Edge {
    /// Starts Traefik with its configuration in this directory; `None` without Traefik.
    pub async fn start<'a>(
        directory: &Path,
        readers: impl Iterator<Item = &'a str>,
    ) -> Option<Self> {
        Self::with_room_for(None, directory, readers).await
    }

    /// As [`start`](Self::start), with another limit on simultaneous requests.
    ///
    /// # Panics
    ///
    /// When Traefik does not start.
    pub async fn with_room_for<'a>(
        requests: Option<usize>,
        directory: &Path,
        readers: impl Iterator<Item = &'a str>,
    ) -> Option<Self> {
        if !can_stand() {
            return None;
        }
        let listens = |port: u16| format!("127.0.0.1:{port}");
        let (address, fallback_address) = (listens(free_port()), listens(free_port()));
        let metrics_address = listens(free_port());
        let environment = [
            ("LISTEN_ADDR", fallback_address.clone()),
            ("ADMIN_ADDR", listens(0)),
        ];
        let program = binaries().server;
        let fallback = Process::spawn("the fallback", program, &["fallback"], &environment);
        fallback.wait_for_log("fallback_started", |_| true).await;

        let mut routing = replaced(ROUTING, "fallback:8080", &fallback_address);
        routing = replaced(&routing, "service: mirror@docker", "service: mirror@file");
        if let Some(requests) = requests {
            routing = replaced(&routing, "amount: 2000", &format!("amount: {requests}"));
        }
        let write = |name: &str, text: String| {
            std::fs::create_dir_all(directory.join("edge")).expect("a directory can be made");
            let file = directory.join("edge").join(name);
            std::fs::write(file, text).expect("a file can be written");
        };
        write("edge.yml", routing);
        if let Some(service) = service_of(readers) {
            // JSON is valid YAML.
            write("readers.yml", service);
        }

        let mut arguments = vec![
            "--global.checknewversion=false".to_owned(),
            "--global.sendanonymoususage=false".to_owned(),
            format!("--providers.file.directory={}/edge", directory.display()),
            format!("--entrypoints.web.address={address}"),
            format!("--entrypoints.traefik.address={metrics_address}"),
        ];
        arguments.extend(options("--serverstransport."));
        arguments.extend(options("--metrics."));
        let mut traefik = Process::spawn(PROGRAM, PROGRAM, &arguments, &[]);
        let url = format!("http://{address}");
        // Traefik listens before it has read the files, and answers 404 until then.
        let routes = async || {
            assert!(traefik.is_running(), "{PROGRAM}: {:?}", traefik.stdout());
            let answer = try_get(&format!("{url}/films")).await;
            answer.is_ok_and(|answer| answer.status != 404)
        };
        eventually("the edge to have its routes", TIME_LIMIT, routes).await;
        Some(Self {
            url,
            metrics_address,
            _fallback: fallback,
            _traefik: traefik,
        })
    }
}

/// Returns what an error lacks that the edge must give its clients: a body that says what happened
/// (RFC 9457), a time for the next try, and permission for any origin to read both. `None` if it
/// has all.
pub fn missing_in(answer: &Response) -> Option<&'static str> {
    let is = |name, value| answer.header(name) == Some(value);
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let exposes = answer.header("access-control-expose-headers");
    let parts = [
        (
            is("content-type", "application/problem+json"),
            "the media type of a problem",
        ),
        (
            answer.body.is_empty() || problem["status"] == answer.status,
            "a body with the status, or none",
        ),
        (
            is("access-control-allow-origin", "*"),
            "leave for other origins",
        ),
        (
            exposes.is_some_and(|names| names.contains("Retry-After")),
            "leave for other origins to read Retry-After",
        ),
        (
            answer
                .header("retry-after")
                .is_some_and(|seconds| seconds.parse().is_ok_and(|seconds: u8| seconds > 0)),
            "when to ask again",
        ),
    ];
    let missing = parts.into_iter().find(|(has, _)| !has);
    missing.map(|(_, missing)| missing)
}

/// The text with the one occurrence of `from` replaced.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in edge.yml");
    text.replace(from, to)
}

/// Traefik's options in `docker-compose.yml` with this prefix.
fn options(beginning: &str) -> Vec<String> {
    let lines = COMPOSE
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    let found: Vec<_> = lines
        .filter(|line| line.starts_with(beginning))
        .map(str::to_owned)
        .collect();
    assert!(!found.is_empty(), "{beginning} in docker-compose.yml");
    found
}

/// The service that Traefik would read from container labels; here there may be no containers.
fn service_of<'a>(readers: impl Iterator<Item = &'a str>) -> Option<String> {
    let servers: Vec<_> = readers.map(|url| json!({"url": url})).collect();
    if servers.is_empty() {
        return None;
    }
    let dynamic = json!({"http": {
        "services": {"mirror": {"loadBalancer": {
            "servers": servers,
            "healthCheck": {
                "path": "/films",
                "method": "HEAD",
                "interval": "1s",
                "timeout": "1s",
            },
        }}},
    }});
    Some(dynamic.to_string())
}
