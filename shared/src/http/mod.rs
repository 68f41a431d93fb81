//! The accept loop: HTTP/1.1 on hyper, with a limit on everything and an end to everything.
//!
//! Owns sockets and their limits. Knows nothing of paths and bodies; that is the service's.

mod connections;
mod target;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::interval;

use connections::Connections;
use target::{Refusal, Targets};

pub use target::Malformed;

/// How often connections are looked over for clients that do not read what they asked for.
const SWEEP: Duration = Duration::from_secs(5);

/// How many connections may wait to be accepted. Who finds the queue full is not told, and tries
/// again a second later.
const BACKLOG: u32 = 4096;

/// How many bytes of its answers the kernel keeps for each client, which Linux takes twice to have
/// room for its own notes. Left to itself it keeps megabytes for a client that does not read. A
/// client a tenth of a second away still gets the largest answer in under a second.
const SEND_BUFFER: u32 = 32 << 10;

/// Files that are left for everything but connections: the cache, the admin address with its own
/// connections, and what the runtime needs.
const OTHER_FILES: usize = 128;

/// What a listener allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. When there are as many, a new one takes the place of the one whose last
    /// request is longest ago.
    pub connections: usize,
    /// How long a client may take over a request's head, and how long a connection may lie idle
    /// between requests: for hyper the two are one.
    pub head_time: Duration,
    /// How many header fields a request may have.
    pub headers: usize,
    /// How large a request's head may be, in bytes.
    pub head_bytes: usize,
    /// How long open requests get to finish once shutdown is asked for.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            // Above Traefik's 90 s idle timeout, so that the edge closes first and never writes
            // into a connection that is just being closed here.
            head_time: Duration::from_secs(95),
            headers: 64,
            head_bytes: 16 << 10,
            drain_time: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The same with so many connections that the process cannot run out of files: it raises the
    /// number that it may have open as far as it is allowed to, and leaves some of them for its
    /// cache and its admin address.
    #[must_use]
    pub fn within_open_files(self) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // What is refused stays as it was.
        let _ = setrlimit(Resource::Nofile, raised);
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let sockets = usize::try_from(files).unwrap_or(usize::MAX);
        let sockets = sockets.saturating_sub(OTHER_FILES).max(1);
        if sockets < self.connections {
            tracing::warn!(files, connections = sockets, "few files may be open");
        }
        Self {
            connections: self.connections.min(sockets),
            ..self
        }
    }

    /// How many places are kept free for those who come next, once all the others are taken.
    fn room(&self) -> usize {
        (self.connections / 64).max(1)
    }
}

/// Listens on an address.
///
/// # Errors
/// An error that names the address and the variable that sets it.
pub fn listen(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    bind(address).map_err(|error| {
        anyhow::anyhow!("cannot listen on {address}: {error}; {variable} sets the address")
    })
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Or else a restart would have to wait for the connections of the server before.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown` resolves, then lets open requests finish within the limits' drain
/// time. A failing connection is its own affair; a panicking service ends its connection only.
///
/// A request whose first line cannot be read comes with [`Malformed`] among its extensions, and is
/// to be answered with 400, whatever else it says.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let connections = Connections::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        // A client that has closed its sending side may still wait for its answer, and cannot be
        // told from one that went away until something is written to it. So it is answered, and
        // then hyper closes. What it can cost is bounded as for every other client: the service
        // answers in bounded time, and whoever does not read is swept.
        .half_close(true);
    let mut sweeper = JoinSet::new();
    sweeper.spawn(sweep(connections.clone(), limits));
    let mut shutdown = pin!(shutdown);

    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits, &connections, limits) => accepted,
        };
        let Ok((stream, permit)) = accepted else {
            // Out of file descriptors, most likely.
            connections.close_idlest();
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let entry = Arc::new(connections.enter());
        let refusal = Refusal::default();
        let socket = TokioIo::new(Targets::new(stream, refusal.clone()));
        let service = {
            let (service, entry) = (service.clone(), entry.clone());
            let requests = AtomicU64::new(0);
            service_fn(move |mut request: Request<Incoming>| {
                let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
                if let Some((refused, why)) = refusal.get()
                    && *refused == number
                {
                    request.extensions_mut().insert(*why);
                }
                let (answer, entry) = (service.call(request), entry.clone());
                async move {
                    entry.request().await;
                    answer.await
                }
            })
        };
        let connection = graceful.watch(http.serve_connection(socket, service));
        tokio::spawn(async move {
            // Declared first, so that its place is free when the connection is gone, not before.
            let _place = permit;
            let mut connection = pin!(connection);
            let in_turns = poll_fn(|context| {
                entry.turn();
                connection.as_mut().poll(context)
            });
            tokio::select! {
                outcome = in_turns => if let Err(error) = outcome {
                    tracing::debug!(%error, "connection ended with an error");
                },
                () = entry.told_to_close() => tracing::debug!("connection closed to make room"),
            }
        });
    }
    drop((listener, sweeper));
    if tokio::time::timeout(limits.drain_time, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            drain_s = limits.drain_time.as_secs(),
            "gave up on open connections"
        );
    }
}

async fn sweep(connections: Connections, limits: Limits) {
    let mut sweep = interval(SWEEP);
    loop {
        sweep.tick().await;
        connections.close_idle_for(limits.head_time + SWEEP);
    }
}

/// Accepts a connection once there is room for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    connections: &Connections,
    limits: Limits,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    // Room is made ahead, so that a crowd at the door does not wait for each that has to leave.
    if permits.available_permits() < limits.room() {
        connections.close_idlest();
    }
    let permit = permits.clone().acquire_owned().await;
    Ok((stream, permit.expect("the semaphore is never closed")))
}
