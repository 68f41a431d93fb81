//! The upstream of a drill: serves the built-in catalogue on this machine, with validators, and
//! releases a film.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde_json::Value;
use shared::catalogue::{Collection, PerCollection};
use shared::service::config::BaseUrl;
use shared::service::http::{Limits, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::builtin;

/// One client connects, with a few connections.
const LIMITS: Limits = Limits {
    connections: 16,
    streams: 0,
    head_time: Duration::from_secs(30),
    headers: 64,
    head_bytes: 16 << 10,
    drain_time: Duration::from_secs(1),
};

/// A running stand-in; dropping it stops it.
pub(super) struct StandIn {
    address: SocketAddr,
    collections: Arc<Mutex<PerCollection<Vec<Value>>>>,
    serving: JoinHandle<()>,
}

impl StandIn {
    /// Listens on a free port of this machine.
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let records = builtin::catalogue().map(|listing| {
            let records = listing.records.into_iter();
            records
                .map(|record| Value::Object(record.fields().clone()))
                .collect()
        });
        let collections = Arc::new(Mutex::new(records));
        let served = collections.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let response = answer(&request, &served);
            async move { Ok::<_, Infallible>(response) }
        });
        let serving = tokio::spawn(serve(listener, service, LIMITS, std::future::pending()));
        Ok(Self {
            address,
            collections,
            serving,
        })
    }

    /// The base URL for a poller.
    pub(super) fn base(&self) -> BaseUrl {
        let url = format!("http://{}", self.address);
        url.parse().expect("an address makes a URL")
    }

    /// Appends a film that is like the first one, and returns its id.
    pub(super) fn release(&self, title: &str) -> String {
        let mut collections = lock(&self.collections);
        let films = &mut collections.films;
        let mut film = films[0].clone();
        let id = "d0000000-0000-4000-8000-000000000000".to_owned();
        film["id"] = id.clone().into();
        film["title"] = title.into();
        films.push(film);
        id
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(
    collections: &Mutex<PerCollection<Vec<Value>>>,
) -> std::sync::MutexGuard<'_, PerCollection<Vec<Value>>> {
    collections.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(
    request: &Request<Incoming>,
    collections: &Mutex<PerCollection<Vec<Value>>>,
) -> Response<Full<Bytes>> {
    let name = request.uri().path().trim_matches('/');
    let (status, etag, body) = match name.parse::<Collection>() {
        Ok(collection) => {
            let records = &lock(collections)[collection];
            let etag = format!("\"{}\"", records.len());
            let known = request.headers().get(IF_NONE_MATCH);
            if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
                (StatusCode::NOT_MODIFIED, etag, Vec::new())
            } else {
                let body = serde_json::to_vec(records).expect("records are JSON");
                (StatusCode::OK, etag, body)
            }
        }
        Err(_) => (StatusCode::NOT_FOUND, "\"\"".to_owned(), b"{}".to_vec()),
    };
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(ETAG, etag);
    let response = response.body(Full::new(body.into()));
    response.expect("plain header fields")
}
