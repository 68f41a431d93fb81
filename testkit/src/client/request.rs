//! One request on a connection of its own, or raw bytes.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::connection::Connection;
use super::response::Response;

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
