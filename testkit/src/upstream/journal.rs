//! The requests that the stand-in received, and counts for which tests can wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use http::HeaderMap;
use http::header::IF_NONE_MATCH;
use tokio::sync::watch;

/// How many requests the journal keeps.
const KEPT: usize = 10_000;

/// Counts of requests and answers since the start. Tests compare two to see the difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests whose head arrived, with any result.
    pub requests: u64,
    /// Requests with `If-None-Match`.
    pub conditional: u64,
    /// Answers with 304.
    pub not_modified: u64,
    /// Body bytes that the stand-in gave to connections, as encoded on the wire.
    pub body_bytes: u64,
    /// TCP connections accepted, refused ones included.
    pub connections: u64,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The method, in capitals.
    pub method: String,
    /// Path and query, verbatim.
    pub path: String,
    /// The request's validator.
    pub if_none_match: Option<String>,
    /// Every header.
    pub headers: HeaderMap,
}

/// Connections write here, and tests read here.
#[derive(Debug, Default)]
pub(super) struct Journal {
    counts: watch::Sender<RequestCounts>,
    requests: Mutex<VecDeque<RecordedRequest>>,
}

impl Journal {
    pub(super) fn request<B>(&self, request: &http::Request<B>) {
        let if_none_match = request
            .headers()
            .get(IF_NONE_MATCH)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let conditional = u64::from(if_none_match.is_some());
        {
            let mut requests = self.kept();
            if requests.len() == KEPT {
                requests.pop_front();
            }
            requests.push_back(RecordedRequest {
                method: request.method().to_string(),
                path: request.uri().to_string(),
                if_none_match,
                headers: request.headers().clone(),
            });
        }
        self.count(|counts| {
            counts.requests += 1;
            counts.conditional += conditional;
        });
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut RequestCounts)) {
        self.counts.send_modify(change);
    }

    pub(super) fn body_bytes(&self, bytes: usize) {
        self.count(|counts| counts.body_bytes += bytes as u64);
    }

    pub(super) fn counts(&self) -> RequestCounts {
        *self.counts.borrow()
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.kept().iter().cloned().collect()
    }

    pub(super) fn watch(&self) -> watch::Receiver<RequestCounts> {
        self.counts.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<RecordedRequest>> {
        self.requests
            .lock()
            .expect("nothing panics while it holds the journal")
    }
}
