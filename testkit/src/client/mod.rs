//! A small HTTP/1.1 client for tests: one request, many requests, or raw bytes.
//!
//! Has bounds on time (10 s for a request) and size (64 MiB for a body). Sends no header that the
//! test did not name, except `Host`; follows no redirect; never asks for compression by itself.

mod connection;
mod hammer;

use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};

pub(crate) use connection::CUT;
pub use connection::Connection;
pub use hammer::{Tally, hammer};

/// The time limit of one request, from connecting to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Every header.
    pub headers: HeaderMap,
    /// The body as the server sent it, possibly compressed.
    pub body: Bytes,
}

impl Response {
    /// The body as text, decompressed if it is in gzip.
    ///
    /// # Panics
    ///
    /// When the body is not UTF-8, or has another encoding.
    pub fn text(&self) -> String {
        match self.header(CONTENT_ENCODING.as_str()) {
            None => String::from_utf8(self.body.to_vec()).expect("a body in UTF-8"),
            Some("gzip") => std::io::read_to_string(GzDecoder::new(&self.body[..]))
                .expect("a body that is text in gzip"),
            Some(other) => panic!("this client does not unpack {other}"),
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When the body is not JSON; the message shows the body's beginning.
    pub fn json(&self) -> serde_json::Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| {
            let start: String = text.chars().take(200).collect();
            panic!(
                "status {}, and the body is not JSON ({error}): {start}",
                self.status
            )
        })
    }

    /// The first value of a header; also `None` if the value is not plain ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// `GET`.
///
/// # Panics
///
/// When no complete answer arrives in time; see [`try_get`].
pub async fn get(url: &str) -> Response {
    request(Method::GET, url, &[]).await
}

/// One request without a body, on a connection of its own.
///
/// # Panics
///
/// When no complete answer arrives in time; see [`try_request`].
pub async fn request(method: Method, url: &str, headers: &[(&str, &str)]) -> Response {
    try_request(method, url, headers)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"))
}

/// `GET`, for tests in which it may fail.
///
/// # Errors
///
/// When no complete answer arrives in time.
pub async fn try_get(url: &str) -> anyhow::Result<Response> {
    try_request(Method::GET, url, &[]).await
}

/// One request without a body, on a connection of its own, for tests in which it may fail.
///
/// # Errors
///
/// When no complete answer arrives in time.
pub async fn try_request(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
) -> anyhow::Result<Response> {
    Connection::new().request(method, url, headers).await
}

/// Sends `bytes` to `address`, and returns what arrives until the other side closes or `within` has
/// passed. After a refused or reset connection, returns what arrived before.
pub async fn raw(address: impl ToSocketAddrs, bytes: &[u8], within: Duration) -> Vec<u8> {
    exchange(address, bytes, false, within).await
}

/// As [`raw`], but closes the sending side after `bytes`, as `nc -N` does.
pub async fn raw_half_closed(
    address: impl ToSocketAddrs,
    bytes: &[u8],
    within: Duration,
) -> Vec<u8> {
    exchange(address, bytes, true, within).await
}

async fn exchange(
    address: impl ToSocketAddrs,
    bytes: &[u8],
    half_close: bool,
    within: Duration,
) -> Vec<u8> {
    /// More than any honest answer. A server that sends without end must not fill the memory.
    const MOST: u64 = 64 << 20;

    let mut received = Vec::new();
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        if half_close {
            stream.shutdown().await?;
        }
        stream.take(MOST).read_to_end(&mut received).await
    };
    // Running out of time and a cut connection are both valid results here.
    let _ = tokio::time::timeout(within, exchange).await;
    received
}
