//! Carries out an attack: one thread with many connections, until the caller drops the attack.
//!
//! Knows no HTTP. When the server closes a connection, the attacker opens it again, as real
//! attackers do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The time between two drips, and before the attacker reopens a held connection.
const BEAT: Duration = Duration::from_secs(1);

/// How many connections the attacker opens between two pauses. With more, its own connects wait in
/// a queue, and it measures its own machine.
const VOLLEY: usize = 100;

/// The pause after a failed connect. A retry costs the attacker nothing.
const RETRY: Duration = Duration::from_millis(20);

/// What one connection of an attack does, over and over.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Sends something and then holds the connection.
    Hold {
        /// The first bytes that it sends.
        opening: Bytes,
        /// The bytes that it then sends each second.
        drip: Bytes,
        /// How many bytes it reads a second. A connection that reads waits for something to read
        /// before its next drip.
        reads: usize,
    },
    /// Sends the same bytes as fast as the server takes them, and drops what comes back.
    Flood {
        /// What is sent.
        burst: Bytes,
        /// How many requests that is.
        requests: u64,
    },
    /// Sends something, closes its sending side, and holds the connection without reading.
    Leave {
        /// What is sent.
        opening: Bytes,
    },
    /// Connects and closes.
    Knock {
        /// Closes with a reset instead of a normal close.
        reset: bool,
    },
}

/// What an attacker has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttackCounts {
    /// Connections that the attacker made.
    pub connections: u64,
    /// Requests, whole or partial, that the server's socket has taken.
    pub requests: u64,
}

#[derive(Debug, Default)]
struct Tally {
    connections: AtomicU64,
    requests: AtomicU64,
}

/// An attack that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Force {
    tally: Arc<Tally>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Force {
    /// Attacks an address with this many connections.
    ///
    /// # Panics
    ///
    /// When the system refuses a thread.
    pub fn start(address: SocketAddr, connections: usize, manner: Manner) -> Self {
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let thread = std::thread::spawn({
            let tally = Arc::clone(&tally);
            move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = attack(address, connections, manner, tally) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        Self {
            tally,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// What the attacker has done so far.
    pub fn counts(&self) -> AttackCounts {
        AttackCounts {
            connections: self.tally.connections.load(Ordering::Relaxed),
            requests: self.tally.requests.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Force {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the attacker did not panic");
            }
        }
    }
}

async fn attack(address: SocketAddr, connections: usize, manner: Manner, tally: Arc<Tally>) {
    let manner = Arc::new(manner);
    let mut attackers = JoinSet::new();
    for number in 0..connections {
        if number % VOLLEY == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let (manner, tally) = (Arc::clone(&manner), Arc::clone(&tally));
        attackers.spawn(async move {
            loop {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        tally.connections.fetch_add(1, Ordering::Relaxed);
                        // An attacker expects that the server closes the connection.
                        let _ = act(stream, &manner, &tally).await;
                    }
                    Err(_) => sleep(RETRY).await,
                }
            }
        });
    }
    // No attacker ends by itself.
    if let Some(Err(error)) = attackers.join_next().await {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn act(stream: TcpStream, manner: &Manner, tally: &Tally) -> io::Result<()> {
    match manner {
        Manner::Hold {
            opening,
            drip,
            reads,
        } => {
            let held = hold(stream, opening, drip, *reads, tally).await;
            sleep(BEAT).await;
            held
        }
        Manner::Leave { opening } => {
            let left = leave(stream, opening, tally).await;
            sleep(BEAT).await;
            left
        }
        Manner::Flood { burst, requests } => flood(stream, burst, *requests, tally).await,
        Manner::Knock { reset } => {
            if *reset {
                stream.set_zero_linger()?;
            }
            // Without this, one connection would keep all others from their turn.
            tokio::task::yield_now().await;
            Ok(())
        }
    }
}

async fn hold(
    mut stream: TcpStream,
    opening: &[u8],
    drip: &[u8],
    reads: usize,
    tally: &Tally,
) -> io::Result<()> {
    stream.write_all(opening).await?;
    let requests = u64::from(!opening.is_empty());
    tally.requests.fetch_add(requests, Ordering::Relaxed);
    let mut sink = vec![0; reads];
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        stream.write_all(drip).await?;
        if reads == 0 && is_closed(&stream) {
            return Ok(());
        }
        if reads > 0 && stream.read(&mut sink).await? == 0 {
            return Ok(());
        }
    }
}

async fn leave(mut stream: TcpStream, opening: &[u8], tally: &Tally) -> io::Result<()> {
    stream.write_all(opening).await?;
    let requests = u64::from(!opening.is_empty());
    tally.requests.fetch_add(requests, Ordering::Relaxed);
    stream.shutdown().await?;
    let mut beat = interval(BEAT);
    while !is_closed(&stream) {
        beat.tick().await;
    }
    Ok(())
}

/// Whether the other side has closed, as far as this side can see without reading.
fn is_closed(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE | Interest::ERROR);
    let ready = ready.now_or_never().and_then(Result::ok);
    ready.is_some_and(|ready| ready.is_read_closed() || ready.is_error())
}

async fn flood(
    mut stream: TcpStream,
    burst: &[u8],
    requests: u64,
    tally: &Tally,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let write = async {
        loop {
            writer.write_all(burst).await?;
            tally.requests.fetch_add(requests, Ordering::Relaxed);
        }
    };
    let read = async {
        let mut sink = vec![0; 64 << 10];
        while reader.read(&mut sink).await? > 0 {}
        Ok(())
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}
