//! A client of Server-Sent Events, as browsers read them (WHATWG HTML, section 9.2).

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::response::TIMEOUT;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSentEvent {
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: String,
    /// The last id so far, which a client sends when it connects again.
    pub id: String,
}

impl ServerSentEvent {
    /// The data as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).expect("data in JSON")
    }
}

/// An open stream of events.
#[derive(Debug)]
pub struct EventStream {
    /// The answer's headers.
    pub headers: HeaderMap,
    body: Incoming,
    driver: JoinHandle<()>,
    read: String,
    last_id: String,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl EventStream {
    /// Opens the stream at `path`.
    ///
    /// # Errors
    ///
    /// When the answer is not 200; the error has its status.
    pub async fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Self> {
        let opening = async {
            let stream = TcpStream::connect(address).await.context("connecting")?;
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(async move { drop(connection.await) });
            let request = Request::get(path).header(HOST, address);
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            });
            let answer = sender.send_request(request.body(Empty::<Bytes>::new())?);
            let (head, body) = answer.await?.into_parts();
            anyhow::ensure!(head.status == 200, "status {}", head.status.as_u16());
            Ok(Self {
                headers: head.headers,
                body,
                driver,
                read: String::new(),
                last_id: String::new(),
            })
        };
        timeout(TIMEOUT, opening).await.context("no answer")?
    }

    /// The next event; `None` when the stream ends or breaks.
    ///
    /// # Panics
    ///
    /// When no event comes within this time.
    pub async fn next(&mut self, within: Duration) -> Option<ServerSentEvent> {
        let reading = async {
            loop {
                while let Some((block, rest)) = self.read.split_once("\n\n") {
                    let (block, rest) = (block.to_owned(), rest.to_owned());
                    self.read = rest;
                    if let Some(event) = self.dispatch(&block) {
                        return Some(event);
                    }
                }
                self.read_more().await?;
            }
        };
        let next = timeout(within, reading).await;
        next.unwrap_or_else(|_| panic!("no event within {within:?}"))
    }

    /// Waits for a comment after the last event.
    ///
    /// # Panics
    ///
    /// When none comes within this time.
    pub async fn comment(&mut self, within: Duration) {
        let reading = async {
            while !self.read.lines().any(|line| line.starts_with(':')) {
                self.read_more().await.expect("the stream goes on");
            }
        };
        timeout(within, reading)
            .await
            .unwrap_or_else(|_| panic!("no comment within {within:?}"));
    }

    async fn read_more(&mut self) -> Option<()> {
        let frame = self.body.frame().await?.ok()?;
        let bytes = frame.into_data().ok()?;
        self.read.push_str(std::str::from_utf8(&bytes).ok()?);
        Some(())
    }

    fn dispatch(&mut self, block: &str) -> Option<ServerSentEvent> {
        let (mut name, mut data) = ("message", Vec::new());
        for line in block.lines() {
            match line.split_once(':') {
                Some(("id", id)) => id.trim_start().clone_into(&mut self.last_id),
                Some(("event", event)) => name = event.trim_start(),
                Some(("data", text)) => data.push(text.trim_start()),
                _ => {}
            }
        }
        (!data.is_empty()).then(|| ServerSentEvent {
            name: name.to_owned(),
            data: data.join("\n"),
            id: self.last_id.clone(),
        })
    }
}
