//! The accept loop against hostile clients: every limit holds, and other clients are served.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use shared::service::http::{Limits, OpenConnections, listen, serve, serve_on_each_core};
use testkit::attack::usage::unsent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

const LIMITS: Limits = Limits {
    connections: 8,
    streams: 8,
    head_time: Duration::from_millis(400),
    headers: 16,
    head_bytes: 8 << 10,
    drain_time: Duration::from_millis(500),
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A listener that answers everything with a body of a given size; it stops when dropped.
struct Listener {
    address: SocketAddr,
    open: OpenConnections,
    _stop: oneshot::Sender<()>,
}

async fn listener(limits: Limits, body_bytes: usize) -> Listener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener_on(listener, limits, body_bytes)
}

fn listener_on(listener: TcpListener, limits: Limits, body_bytes: usize) -> Listener {
    let address = listener.local_addr().unwrap();
    let body = Bytes::from(vec![b'x'; body_bytes]);
    let service = service_fn(move |_: Request<Incoming>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body.clone()))))
    });
    let (stop, stopped) = oneshot::channel();
    let services = move |_| service.clone();
    let open = OpenConnections::default();
    tokio::spawn(serve_on_each_core(
        listener,
        services,
        limits,
        open.clone(),
        async move { _ = stopped.await },
    ));
    Listener {
        address,
        open,
        _stop: stop,
    }
}

impl Listener {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends something and reads until the listener closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The listener may refuse the request and close before all of it is sent.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = timeout(Duration::from_secs(10), reading)
            .await
            .expect("closed in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn is_serving(&self) -> bool {
        let mut stream = self.connect().await;
        stream.write_all(GET).await.unwrap();
        let mut answer = [0; 12];
        let reading = stream.read_exact(&mut answer);
        let read = timeout(Duration::from_secs(5), reading).await;
        matches!(read, Ok(Ok(_))) && answer.starts_with(b"HTTP/1.1 200")
    }
}

/// Whether the other side has closed, or closes soon.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut rest))
        .await
        .is_ok()
}

/// Waits, for at most ten seconds, until the listener counts this many open connections.
async fn counts(listener: &Listener, expected: usize) -> bool {
    let counted = async {
        while listener.open.count() != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), counted).await.is_ok()
}

#[tokio::test]
async fn a_listener_counts_its_open_connections() {
    let limits = Limits {
        head_time: Duration::from_mins(1),
        ..LIMITS
    };
    let listener = listener(limits, 10).await;
    assert_eq!(listener.open.count(), 0);
    let first = listener.connect().await;
    let second = listener.connect().await;
    assert!(counts(&listener, 2).await, "{}", listener.open.count());
    drop(first);
    assert!(counts(&listener, 1).await, "{}", listener.open.count());
    drop(second);
    assert!(counts(&listener, 0).await, "{}", listener.open.count());
}

#[tokio::test]
async fn silent_and_half_heads_are_closed_after_the_time_for_heads() {
    let listener = listener(LIMITS, 10).await;
    let opened = Instant::now();
    let mut silent = listener.connect().await;
    let mut slow = listener.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    assert!(is_closed(&mut silent).await && is_closed(&mut slow).await);
    assert!((LIMITS.head_time..LIMITS.head_time * 10).contains(&opened.elapsed()));
}

#[tokio::test]
async fn idle_connections_make_room_for_clients_that_ask() {
    let limits = Limits {
        head_time: Duration::from_mins(1),
        ..LIMITS
    };
    let listener = listener(limits, 10).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(listener.connect().await);
    }
    for _ in 0..20 {
        assert!(listener.is_serving().await);
    }
    assert!(is_closed(&mut idle[0]).await, "the idlest had to go");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let listener = listener(LIMITS, 64 << 20).await;
    let mut stream = listener.connect().await;
    stream.write_all(GET).await.unwrap();
    let mut some = [0; 1024];
    stream.read_exact(&mut some).await.unwrap();
    // The client reads nothing for longer than the head time and the interval of sweeps.
    tokio::time::sleep(LIMITS.head_time * 2).await;
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(
        rest.len() < 64 << 20,
        "cut off, not served to the end: {}",
        rest.len()
    );
}

/// An answer without an end; it notifies `gone` when the server drops it.
struct Endless {
    gone: Arc<Notify>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}

/// It looks like a client that waits for its answer, so the same limit applies.
#[tokio::test]
async fn a_client_that_half_closes_and_does_not_read_is_closed() {
    let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr().unwrap();
    let gone = Arc::new(Notify::new());
    let leaves = gone.clone();
    let service = service_fn(move |_: Request<Incoming>| {
        let gone = leaves.clone();
        std::future::ready(Ok::<_, Infallible>(Response::new(Endless { gone })))
    });
    tokio::spawn(serve(bound, service, LIMITS, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    stream.shutdown().await.unwrap();
    let asked = Instant::now();
    timeout(Duration::from_secs(30), gone.notified())
        .await
        .expect("given up in time");
    // Not at once, because the client might still have read.
    assert!(asked.elapsed() >= LIMITS.head_time);
}

/// A stream with a piece every 50 ms.
struct Ticking(tokio::time::Interval);

impl Body for Ticking {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let ticked = self.0.poll_tick(context);
        ticked.map(|_| Some(Ok(Frame::data(Bytes::from_static(b"tick")))))
    }
}

/// They outlast the head time, also when more clients come than there are places.
#[tokio::test]
async fn streams_last_as_long_as_their_clients_read_and_take_no_place_of_others() {
    let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr().unwrap();
    let service = service_fn(move |_: Request<Incoming>| {
        let ticking = Ticking(tokio::time::interval(Duration::from_millis(50)));
        std::future::ready(Ok::<_, Infallible>(Response::new(ticking)))
    });
    tokio::spawn(serve(bound, service, LIMITS, std::future::pending()));
    let mut streams = Vec::new();
    for _ in 0..LIMITS.connections * 3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(GET).await.unwrap();
        stream.read_exact(&mut [0; 64]).await.unwrap();
        streams.push(stream);
    }
    let mut idle = Vec::new();
    for _ in 0..LIMITS.connections * 3 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let began = Instant::now();
    while began.elapsed() < LIMITS.head_time * 3 {
        for stream in &mut streams {
            let mut some = [0; 16];
            let reading = stream.read_exact(&mut some);
            let read = timeout(Duration::from_secs(5), reading).await;
            assert!(matches!(read, Ok(Ok(_))), "{read:?}");
        }
    }
}

/// It gets the answer however long that takes; then the server closes at once.
#[tokio::test]
async fn a_client_that_half_closes_gets_its_answer_when_it_is_there() {
    let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr().unwrap();
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (asks, waits) = (asked.clone(), answer.clone());
    let service = service_fn(move |_: Request<Incoming>| {
        let (asks, waits) = (asks.clone(), waits.clone());
        async move {
            asks.notify_one();
            waits.notified().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"whole"))))
        }
    });
    tokio::spawn(serve(bound, service, LIMITS, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    asked.notified().await;
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    let reading = stream.read_to_end(&mut received);
    let early = timeout(LIMITS.head_time / 2, reading).await;
    assert!(early.is_err(), "neither answered nor closed yet");
    answer.notify_one();
    assert!(is_closed_with(&mut stream, &mut received).await);
    assert!(received.ends_with(b"\r\n\r\nwhole"), "{received:?}");
}

/// Reads until the other side closes. Returns whether it closes soon.
async fn is_closed_with(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let reading = stream.read_to_end(received);
    let read = timeout(Duration::from_secs(10), reading).await;
    matches!(read, Ok(Ok(_)))
}

/// Answers that wait in the kernel use memory that no limit of a process counts.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_keeps_little_for_a_client_that_does_not_read() {
    let bound = listen("127.0.0.1:0".parse().unwrap(), "ANY").unwrap();
    let listener = listener_on(bound, LIMITS, 64 << 20);
    let mut stream = listener.connect().await;
    stream.write_all(GET).await.unwrap();
    let (mut before, mut waiting) = (usize::MAX, 0);
    // Repeat until the client's own buffer is full and no more bytes move.
    while before != waiting || waiting == 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (before, waiting) = (waiting, unsent(listener.address));
    }
    assert!(waiting <= 128 << 10, "{waiting} bytes unsent");
}

/// A single thread serves both connections. One has thousands of waiting requests; the other one's
/// request must not wait for all of them.
#[tokio::test]
async fn a_connection_with_many_requests_does_not_keep_others_waiting() {
    let answered = Arc::new(AtomicUsize::new(0));
    let (bound, counter) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        answered.clone(),
    );
    let address = bound.local_addr().unwrap();
    let service = service_fn(move |request: Request<Incoming>| {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        let waited = (request.uri() == "/patient").then(|| before.to_string());
        let body = Bytes::from(waited.unwrap_or_default());
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body))))
    });
    tokio::spawn(serve(bound, service, LIMITS, std::future::pending()));
    let mut greedy = TcpStream::connect(address).await.unwrap();
    let mut patient = TcpStream::connect(address).await.unwrap();
    let patient_get = b"GET /patient HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    greedy.write_all(&GET.repeat(400)).await.unwrap();
    patient.write_all(patient_get).await.unwrap();
    let mut answer = String::new();
    patient.read_to_string(&mut answer).await.unwrap();
    let (_, before) = answer.rsplit_once("\r\n\r\n").unwrap();
    // The server may first have to accept both, which takes some turns of the greedy connection.
    assert!(
        before.parse::<usize>().unwrap() < 16,
        "{before} went before"
    );
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_fields() {
    let listener = listener(LIMITS, 10).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nLong: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    assert!(
        listener
            .exchange(long.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    let uri = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(64 << 10));
    assert!(
        listener
            .exchange(uri.as_bytes())
            .await
            .starts_with("HTTP/1.1 4")
    );
    let many: Vec<_> = (0..200).map(|n| format!("h{n}: x\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", many.concat());
    assert!(
        listener
            .exchange(many.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    assert!(listener.is_serving().await);
}

#[tokio::test]
async fn smuggling_shapes_are_refused_or_close_the_connection() {
    let listener = listener(LIMITS, 10).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 5\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n{smuggled}");
        let answer = listener.exchange(request.as_bytes()).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer:?}");
        assert_eq!(answers, 1, "{head:?}: {answer:?}");
    }
    // Both lengths: the chunked one counts (RFC 9112, section 6.3). Bytes after it are one more
    // request. It can mislead no proxy, because the connection is not reused.
    let both = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\
                \r\n0\r\n\r\n";
    let answer = listener.exchange(both.as_bytes()).await;
    assert!(answer.matches("HTTP/1.1 ").count() == 1, "{answer:?}");
    for chunk in ["zz\r\n", "ffffffffffffffff1\r\n", "-1\r\n"] {
        let odd = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{smuggled}"
        );
        let answer = listener.exchange(odd.as_bytes()).await;
        assert!(
            answer.matches("HTTP/1.1 ").count() <= 1,
            "{chunk:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_bodies_of_requests_are_ignored() {
    let listener = listener(LIMITS, 10).await;
    let pipelined = [GET, GET, GET].concat();
    assert_eq!(
        listener
            .exchange(&pipelined)
            .await
            .matches("HTTP/1.1 200")
            .count(),
        3
    );
    let body = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(
        listener
            .exchange(body)
            .await
            .matches("HTTP/1.1 200")
            .count(),
        2
    );
    let absolute = b"GET http://x/films HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(
        listener
            .exchange(absolute)
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn draining_ends_even_if_clients_keep_their_connections() {
    let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr().unwrap();
    let asked = Arc::new(Notify::new());
    let asks = asked.clone();
    let service = service_fn(move |_: Request<Incoming>| {
        asks.notify_one();
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(
        bound,
        service,
        LIMITS,
        async move { _ = stopped.await },
    ));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    asked.notified().await;
    let stopping = Instant::now();
    stop.send(()).unwrap();
    timeout(Duration::from_secs(5), serving)
        .await
        .expect("ends")
        .unwrap();
    assert!(
        stopping.elapsed() >= LIMITS.drain_time,
        "not for its client"
    );
}
