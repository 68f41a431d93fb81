//! One complete answer, and the time that it may take.

use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

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
