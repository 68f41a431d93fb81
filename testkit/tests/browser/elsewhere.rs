//! Another origin: a web server that serves the test's pages, and records each request.
//!
//! It hosts foreign pages that use the mirror, and the traps that no request may ever reach.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running web server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    url: String,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    pages: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
}

impl Elsewhere {
    /// Starts on a free port, without pages.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, state.clone()));
        Self {
            url,
            state,
            _tasks: tasks,
        }
    }

    /// The base URL, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves a page with this body from now on; returns its URL.
    pub(crate) fn show(&self, name: &str, body: &str) -> String {
        self.show_as_is(name, &format!("<!DOCTYPE html>\n<body>{body}</body>\n"))
    }

    /// Serves this exact HTML from now on; returns its URL.
    pub(crate) fn show_as_is(&self, name: &str, html: &str) -> String {
        let path = format!("/{name}");
        let url = format!("{}{path}", self.url);
        let mut pages = self.state.pages.lock().unwrap();
        pages.insert(path, html.to_owned());
        url
    }

    /// The requested paths below this one.
    pub(crate) fn asked(&self, below: &str) -> Vec<String> {
        let asked = self.state.asked.lock().unwrap();
        let mut paths = asked.clone();
        paths.retain(|path| path.starts_with(below));
        paths
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&state, request.uri().path());
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

fn answer(state: &State, path: &str) -> Response<Full<Bytes>> {
    state.asked.lock().unwrap().push(path.to_owned());
    let page = state.pages.lock().unwrap().get(path).cloned();
    let status = match page {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .body(Full::new(page.unwrap_or_default().into()))
        .unwrap()
}
