//! The accept loop: HTTP/1.1 on hyper, with a limit on everything and an end to everything.
//!
//! Owns sockets and their limits. Knows nothing of paths and bodies; that is the service's.

mod connections;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::interval;

use connections::Connections;

/// How often connections are looked over for clients that do not read what they asked for.
const SWEEP: Duration = Duration::from_secs(5);

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

/// Listens on an address.
///
/// # Errors
/// An error that names the address and the variable that sets it.
pub async fn listen(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("cannot listen on {address}: {error}; {variable} sets the address")
    })
}

/// Serves until `shutdown` resolves, then lets open requests finish within the limits' drain
/// time. A failing connection is its own affair; a panicking service ends its connection only.
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
        .half_close(false);
    let mut sweeper = JoinSet::new();
    sweeper.spawn(sweep(connections.clone(), limits));
    let mut shutdown = std::pin::pin!(shutdown);

    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits, &connections) => accepted,
        };
        let Ok((stream, permit)) = accepted else {
            // Out of file descriptors, most likely.
            connections.close_idlest();
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let entry = Arc::new(connections.enter());
        let service = {
            let (service, entry) = (service.clone(), entry.clone());
            service_fn(move |request| {
                entry.request();
                service.call(request)
            })
        };
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            tokio::select! {
                outcome = connection => if let Err(error) = outcome {
                    tracing::debug!(%error, "connection ended with an error");
                },
                () = entry.told_to_close() => tracing::debug!("connection closed to make room"),
            }
            drop(permit);
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
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let permit = if let Ok(permit) = permits.clone().try_acquire_owned() {
        permit
    } else {
        connections.close_idlest();
        permits
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    };
    Ok((stream, permit))
}
