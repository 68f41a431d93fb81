//! A receiver of webhooks that may fail, and remembers every request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::{TIME_LIMIT, eventually};

/// The path on which it receives, which no log may show.
pub const PATH: &str = "/services/s3cret";

/// How a receiver takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Answers with this status.
    Status(u16),
    /// Never answers.
    Holds,
}

/// A request that arrived, whatever the answer.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
    /// Whether the receiver has accepted it.
    pub accepted: bool,
}

/// A running receiver. Dropping it closes its port.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    listens: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// How to take the next requests.
    next: Mutex<VecDeque<Taking>>,
    /// How to take all others; accepts them, if `None`.
    others: Mutex<Option<Taking>>,
    requests: Mutex<Vec<Received>>,
}

impl Receiver {
    /// Starts a receiver that takes the first requests like this, and accepts all others.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn start(next: &[Taking]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let state = Arc::new(State {
            next: Mutex::new(next.iter().copied().collect()),
            ..State::default()
        });
        let address = listener.local_addr().expect("a listener has an address");
        let shared = state.clone();
        let listens = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, shared.clone()));
            }
        });
        Self {
            address,
            state,
            listens,
        }
    }

    /// Where it receives.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// From now on it takes requests like this; accepts them again, if `None`.
    pub fn take(&self, others: Option<Taking>) {
        *lock(&self.state.others) = others;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Received> {
        lock(&self.state.requests).clone()
    }

    /// Waits until this many requests have arrived, and returns the ids of all.
    ///
    /// # Panics
    ///
    /// When they do not arrive.
    pub async fn has(&self, count: usize) -> Vec<String> {
        let what = format!("{count} requests at the receiver");
        eventually(&what, TIME_LIMIT, async || self.requests().len() >= count).await;
        self.requests().iter().map(Received::id).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

impl Received {
    /// The message's id.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub fn id(&self) -> String {
        let id = self.headers.get("webhook-id").expect("webhook-id");
        id.to_str().expect("an id in ASCII").to_owned()
    }
}

/// Takes the requests of one connection.
async fn take(stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        assert_eq!(line, format!("POST {PATH} HTTP/1.1\r\n"));
        let mut headers = HeaderMap::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            let name: HeaderName = name.parse().expect("the name of a header");
            headers.insert(name, value.parse().expect("the value of a header"));
        }
        let length = headers["content-length"].to_str().expect("a length");
        let mut body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut body).await?;
        let next = lock(&state.next).pop_front();
        let how = next.or_else(|| *lock(&state.others));
        let status = match how {
            Some(Taking::Status(status)) => Some(status),
            Some(Taking::Holds) => None,
            None => Some(204),
        };
        lock(&state.requests).push(Received {
            headers,
            body: String::from_utf8(body).expect("a body in UTF-8"),
            accepted: status.is_some_and(|status| (200..300).contains(&status)),
        });
        let Some(status) = status else {
            return std::future::pending().await;
        };
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
