//! The accept loop: HTTP/1.1 on hyper. Everything has a limit, and everything ends.
//!
//! Owns sockets and their limits. The service handles paths and bodies.

mod connections;
mod target;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::interval;

use connections::{Connections, End};
use target::{Refusal, Targets};

pub use target::Malformed;

/// How often to look for clients that take too long, at least.
const SWEEP: Duration = Duration::from_secs(5);

/// How many connections may wait to be accepted. The kernel ignores a client when the queue is
/// full, and the client tries again a second later.
const BACKLOG: u32 = 4096;

/// How many bytes of answers the kernel keeps for each client; Linux doubles it to have room for
/// its own data. Without this limit it keeps megabytes for a client that does not read. A client
/// with a delay of a tenth of a second still gets the largest answer in under a second.
const SEND_BUFFER: u32 = 32 << 10;

/// Open files reserved for everything but client connections: the cache, the admin address and its
/// connections, and the runtime.
const OTHER_FILES: usize = 128;

/// The limits of a listener for its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. When the listener is full, a new connection replaces the one with the
    /// oldest last request.
    pub connections: usize,
    /// How long a connection may go on after a request began, without another one: to send the next
    /// head, to read the answer, or to be idle. The sweep closes it up to a quarter of this later,
    /// and up to five seconds.
    pub head_time: Duration,
    /// How many header fields a request may have.
    pub headers: usize,
    /// How large a request's head may be, in bytes.
    pub head_bytes: usize,
    /// How long open requests may take to finish after a shutdown request.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            // Longer than Traefik's 90 s idle timeout, so that Traefik closes first, and never
            // writes into a connection that this server is closing.
            head_time: Duration::from_secs(95),
            headers: 64,
            head_bytes: 16 << 10,
            drain_time: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Reduces the connections so that the process cannot run out of files. Raises the process's
    /// limit of open files as far as allowed, and reserves some of them for the cache and the admin
    /// address.
    #[must_use]
    pub fn within_open_files(self) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // If the system refuses, the limit stays as it was.
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

    /// How many places to keep free for new connections when all others are taken.
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
    // Without this, a restart would have to wait for the old server's connections.
    socket.set_reuseaddr(true)?;
    // Connections inherit this.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown` resolves, then lets open requests finish within the drain time. A
/// failing connection affects no other; a panicking service ends only its connection.
///
/// A request with an unreadable first line carries [`Malformed`] in its extensions. The service
/// must answer it with 400, whatever else the request says.
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
    let connections = Connections::new();
    let mut http = http1::Builder::new();
    // The sweep limits the time. hyper would set a timer for every request.
    http.header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        // A client that has closed its sending side may still wait for its answer. Only a write
        // shows whether the client is gone. So the server answers, and then hyper closes. The cost
        // is limited as for every other client: the service answers in limited time, and the sweep
        // closes connections whose clients do not read.
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
            // The most likely cause: no free file descriptors.
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
                let must_wait = (!entry.may_answer()).then(|| entry.clone());
                let answer = service.call(request);
                async move {
                    if let Some(entry) = must_wait {
                        entry.next_turn().await;
                    }
                    answer.await
                }
            })
        };
        let connection = http.serve_connection(socket, service);
        tokio::spawn(async move {
            // Declared first, so that its place becomes free only after the connection is gone.
            let _place = permit;
            let mut connection = pin!(connection);
            let mut is_finishing = false;
            let ended = poll_fn(|context| {
                match entry.turn(context) {
                    End::Open => {}
                    End::Finish if is_finishing => {}
                    End::Finish => {
                        is_finishing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    End::Close => {
                        tracing::debug!(
                            "connection closed: it was idle, or others needed its place"
                        );
                        return Poll::Ready(Ok(()));
                    }
                }
                connection.as_mut().poll(context)
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "connection ended with an error");
            }
        });
    }
    drop((listener, sweeper));
    connections.finish();
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(limits.drain_time, permits.acquire_many(all))
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
    let mut sweep = interval(SWEEP.min(limits.head_time / 4));
    loop {
        sweep.tick().await;
        connections.close_idle_for(limits.head_time);
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
    // Make room early, so that many new connections do not each wait for an old one to close.
    if permits.available_permits() < limits.room() {
        connections.close_idlest();
    }
    let permit = permits.clone().acquire_owned().await;
    Ok((stream, permit.expect("the semaphore is never closed")))
}
