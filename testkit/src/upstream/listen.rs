//! The stand-in's sockets: one thread that listens, serves, stops and returns.
//!
//! Knows no catalogue; [`answer`](super::answer) does.

use std::future::poll_fn;
use std::net::TcpListener as StdListener;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::answer::answer;
use super::fault::Fault;
use super::state::State;

/// How long a command to the thread may take; its work takes milliseconds.
const PROMPT: Duration = Duration::from_secs(10);

/// The thread that listens, and the channel for its commands.
#[derive(Debug)]
pub(super) struct Listening {
    port: u16,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    GoDown {
        done: blocking::Sender<()>,
    },
    ComeBack {
        done: blocking::Sender<std::io::Result<()>>,
    },
}

impl Listening {
    pub(super) fn start(listener: StdListener, state: Arc<State>) -> Self {
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        listener
            .set_nonblocking(true)
            .expect("a listener can be made non-blocking");
        let (commands, orders) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name(format!("upstream:{port}"))
            .spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime for the stand-in upstream")
                    .block_on(run(listener, port, state, orders));
            })
            .expect("a thread for the stand-in upstream");
        Self {
            port,
            commands: Some(commands),
            thread: Some(thread),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn go_down(&self) {
        self.ask(|done| Command::GoDown { done });
    }

    pub(super) fn come_back(&self) {
        let port = self.port;
        self.ask(|done| Command::ComeBack { done })
            .unwrap_or_else(|error| panic!("port {port} was lost while down: {error}"));
    }

    fn ask<T>(&self, command: impl FnOnce(blocking::Sender<T>) -> Command) -> T {
        let (done, answer) = blocking::channel();
        if let Some(commands) = &self.commands {
            commands
                .send(command(done))
                .expect("the stand-in upstream's thread died");
        }
        answer
            .recv_timeout(PROMPT)
            .expect("the stand-in upstream's thread hangs or died")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The thread ends when its command channel closes.
        self.commands.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the stand-in upstream's thread panicked");
        }
    }
}

async fn run(
    listener: StdListener,
    port: u16,
    state: Arc<State>,
    mut orders: mpsc::UnboundedReceiver<Command>,
) {
    let listener = TcpListener::from_std(listener).expect("a non-blocking listener");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => break,
                Some(Command::GoDown { done }) => {
                    listener = None;
                    connections.shutdown().await;
                    // The caller may have given up; the caller then reports it.
                    let _ = done.send(());
                }
                Some(Command::ComeBack { done }) => {
                    let bound = if listener.is_some() { Ok(()) } else {
                        TcpListener::bind(("127.0.0.1", port)).await.map(|bound| listener = Some(bound))
                    };
                    let _ = done.send(bound);
                }
            },
            stream = accept(listener.as_ref()) => {
                if let Some(stream) = stream {
                    connections.spawn(serve(stream, Arc::clone(&state)));
                }
            }
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// The next connection; none while the stand-in is down. Ignores a failed accept.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    state.journal.count(|counts| counts.connections += 1);
    if matches!(state.faults().everywhere, Some(Fault::Refuse)) {
        reset(stream);
        return;
    }
    // Small writes must leave at once, because a slow body consists of them.
    let _ = stream.set_nodelay(true);

    let wants_reset = Arc::new(AtomicBool::new(false));
    let service = {
        let wants_reset = Arc::clone(&wants_reset);
        service_fn(move |request: Request<Incoming>| {
            let (state, wants_reset) = (Arc::clone(&state), Arc::clone(&wants_reset));
            Box::pin(async move { answer(&state, &request, &wants_reset).await })
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // The result does not matter: faults and clients both end connections with errors.
    let _ = poll_fn(|context| Pin::new(&mut connection).poll_without_shutdown(context)).await;

    let mut stream = connection.into_parts().io.into_inner();
    if wants_reset.load(Ordering::Relaxed) {
        reset(stream);
    } else {
        let _ = stream.shutdown().await;
    }
}

/// Closes with RST instead of FIN.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
