//! The accept loop, on one runtime or on one for each core.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, available_parallelism};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval, sleep, timeout};

use super::Limits;
use super::connections::{Connections, End};
use super::open::OpenConnections;
use super::stream::Sent;
use super::target::{Refusal, Targets};
use crate::log;
use crate::service::telemetry::events;

/// How often to look for clients that take too long, at least.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves until `shutdown` resolves, then lets open requests finish within the drain time. A
/// failing connection affects no other; a panicking service ends only its connection.
///
/// A request with an unreadable first line carries [`Malformed`](super::Malformed) in its
/// extensions. The service must answer it with 400, whatever else the request says.
///
/// A body of unknown length is a stream: it may last as long as its client reads, and its connection
/// does not count among the limited ones. The service must limit the number of streams, close their
/// connections with them (`Connection: close`), and end them before the shutdown.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    B: Send + Unpin + 'static,
{
    serve_each(listener, move |_| service.clone(), limits, shutdown).await;
}

/// The same as [`serve`], with a service for each connection. `services` makes it.
pub async fn serve_each<S, B>(
    listener: TcpListener,
    services: impl Fn(&TcpStream) -> S,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    B: Send + Unpin + 'static,
{
    let clients = Clients::new(limits, OpenConnections::default());
    tokio::select! {
        biased;
        () = shutdown => {}
        () = clients.accept(&listener, services) => {}
        () = clients.sweep() => {}
    }
    drop(listener);
    clients.drain().await;
}

/// The same as [`serve`], with a thread and a runtime for each core. All of them accept. A
/// connection stays where it was accepted, so that no request waits for a thread that sleeps or for
/// a lock between threads.
///
/// `services` makes the service of a thread from the thread's number, which counts from zero to
/// [`available_parallelism`]. `open` counts the connections.
///
/// # Errors
/// When a thread cannot be started.
pub async fn serve_on_each_core<S, B>(
    listener: TcpListener,
    services: impl Fn(usize) -> S,
    limits: Limits,
    open: OpenConnections,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    B: Send + Unpin + 'static,
{
    let clients = Clients::new(limits, open);
    let listener = listener.into_std()?;
    let (accepting, no_longer) = watch::channel(());
    let (running, ended) = watch::channel(());
    let threads = (0..available_parallelism().map_or(1, usize::from)).map(|number| {
        let (listener, clients, service) =
            (listener.try_clone()?, clients.clone(), services(number));
        let (mut no_longer, mut ended) = (no_longer.clone(), ended.clone());
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = async move {
            let listener = TcpListener::from_std(listener)?;
            tokio::select! {
                _ = no_longer.changed() => {}
                () = clients.accept(&listener, move |_| service.clone()) => {}
            }
            drop(listener);
            // The connections of this thread go on meanwhile.
            _ = ended.changed().await;
            Ok::<_, io::Error>(())
        };
        let thread = thread::Builder::new().name(format!("http-{number}"));
        thread.spawn(move || runtime.block_on(work))
    });
    let threads: Vec<_> = threads.collect::<io::Result<_>>()?;
    drop(listener);
    tokio::select! {
        () = shutdown => {}
        () = clients.sweep() => {}
    }
    drop(accepting);
    clients.drain().await;
    drop(running);
    let join = move || {
        let outcomes = threads
            .into_iter()
            .map(|it| it.join().expect("threads do not panic"));
        outcomes.collect::<io::Result<()>>()
    };
    tokio::task::spawn_blocking(join)
        .await
        .expect("joining does not panic")
}

/// The open connections of a listener, and what limits them.
#[derive(Clone)]
struct Clients {
    permits: Arc<Semaphore>,
    connections: Connections,
    open: OpenConnections,
    http: http1::Builder,
    limits: Limits,
}

impl Clients {
    fn new(limits: Limits, open: OpenConnections) -> Self {
        let mut http = http1::Builder::new();
        // The sweep limits the time. hyper would set a timer for every request.
        http.header_read_timeout(None)
            .max_headers(limits.headers)
            .max_buf_size(limits.head_bytes)
            // A client that has closed its sending side may still wait for its answer. Only a write
            // shows whether the client is gone. So the server answers, and then hyper closes. The
            // cost is limited as for every other client: the service answers in limited time, and
            // the sweep closes connections whose clients do not read.
            .half_close(true);
        let permits = Arc::new(Semaphore::new(limits.connections));
        Self {
            connections: Connections::new(permits.clone()),
            permits,
            open,
            http,
            limits,
        }
    }

    /// Accepts connections for ever, and serves them on this runtime.
    async fn accept<S, B>(&self, listener: &TcpListener, services: impl Fn(&TcpStream) -> S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
        B: Send + Unpin + 'static,
    {
        loop {
            if let Ok((stream, permit)) = self.accept_one(listener).await {
                let service = services(&stream);
                self.connect(stream, permit, service);
            } else {
                // The most likely cause: no free file descriptors.
                self.connections.close_idlest();
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Accepts a connection once there is room for it.
    async fn accept_one(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Make room early, so that many new connections do not each wait for an old one to close.
        if self.permits.available_permits() < self.limits.room() {
            self.connections.close_idlest();
        }
        let permit = self.permits.clone().acquire_owned().await;
        Ok((stream, permit.expect("the semaphore is never closed")))
    }

    /// Serves a connection in a task of its own.
    fn connect<S, B>(&self, stream: TcpStream, permit: OwnedSemaphorePermit, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
        B: Send + Unpin + 'static,
    {
        let entry = Arc::new(self.connections.enter());
        let refusal = Refusal::default();
        let socket = TokioIo::new(Targets::new(stream, refusal.clone()));
        let service = {
            let entry = entry.clone();
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
                let entry = entry.clone();
                // An idle connection keeps room for this future, so it is a pointer.
                Box::pin(async move {
                    if let Some(entry) = must_wait {
                        entry.next_turn().await;
                    }
                    let Ok(answer) = answer.await;
                    Ok::<_, Infallible>(answer.map(|body| {
                        let is_stream = body.size_hint().exact().is_none();
                        if is_stream {
                            entry.becomes_stream();
                        }
                        Sent::new(body, is_stream.then_some(entry))
                    }))
                })
            })
        };
        let connection = self.http.serve_connection(socket, service);
        let counted = self.open.enter();
        tokio::spawn(async move {
            // Declared first, so that its place becomes free only after the connection is gone.
            let place = permit;
            let _counted = counted;
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
            if entry.is_stream() {
                // Another connection has its place.
                place.forget();
            }
        });
    }

    /// Closes connections that take too long, for ever.
    async fn sweep(&self) {
        let mut sweep = interval(SWEEP.min(self.limits.head_time / 4));
        loop {
            sweep.tick().await;
            self.connections.close_idle_for(self.limits.head_time);
        }
    }

    /// Lets open requests finish within the drain time.
    async fn drain(&self) {
        self.connections.finish();
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let finished = timeout(self.limits.drain_time, self.permits.acquire_many(all));
        if finished.await.is_err() {
            let drain_s = self.limits.drain_time.as_secs();
            log!(
                events::DRAIN_TIMED_OUT,
                drain_s,
                "gave up on connections that were still open after {drain_s} s"
            );
        }
    }
}
