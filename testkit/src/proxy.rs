//! A TCP proxy on 127.0.0.1. Tests can cut its network, make it swallow everything, or stop it in
//! the middle of a message.
//!
//! Stands between one process and a server. Does not understand the bytes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::free_port;

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They arrive.
    Works,
    /// Connections stay open and new ones are accepted, but no byte arrives until it works again.
    Stalls,
    /// Open connections are closed, and new ones are refused.
    Cut,
}

/// A running proxy. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    /// How often the proxy has fallen silent.
    silences: watch::Sender<usize>,
    sent: Arc<Sent>,
    task: JoinHandle<()>,
}

/// How many bytes clients have sent to the server.
#[derive(Debug)]
struct Sent {
    so_far: AtomicU64,
    at_most: AtomicU64,
}

/// What a task needs to carry a connection.
#[derive(Debug, Clone)]
struct Line {
    target: u16,
    network: watch::Receiver<Network>,
    silences: watch::Receiver<usize>,
    sent: Arc<Sent>,
}

impl Proxy {
    /// Starts a proxy in front of `target`, a port on 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When the proxy cannot listen.
    pub async fn start(target: u16) -> Self {
        let port = free_port();
        let listener = listen(port).await;
        let (network, watched) = watch::channel(Network::Works);
        let (silences, silence) = watch::channel(0);
        let sent = Arc::new(Sent {
            so_far: AtomicU64::new(0),
            at_most: AtomicU64::new(u64::MAX),
        });
        let line = Line {
            target,
            network: watched,
            silences: silence,
            sent: Arc::clone(&sent),
        };
        Self {
            port,
            network,
            silences,
            sent,
            task: tokio::spawn(run(listener, port, line)),
        }
    }

    /// The port; it stays the same in every network state.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the network's state from now on.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// From now on no byte passes through the present connections, but they stay open. New
    /// connections work.
    pub fn silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }

    /// How many bytes clients have sent to the server so far.
    pub fn sent(&self) -> u64 {
        self.sent.so_far.load(Ordering::SeqCst)
    }

    /// Lets only this many more bytes reach the server, and drops all bytes after them.
    pub fn send_at_most(&self, bytes: u64) {
        let at_most = self.sent().saturating_add(bytes);
        self.sent.at_most.store(at_most, Ordering::SeqCst);
    }

    /// Whether the server has received all bytes that [`send_at_most`](Self::send_at_most) allowed.
    pub fn has_sent_all(&self) -> bool {
        self.sent.left() == 0
    }
}

impl Sent {
    fn left(&self) -> u64 {
        let at_most = self.at_most.load(Ordering::SeqCst);
        at_most.saturating_sub(self.so_far.load(Ordering::SeqCst))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The port lies below the system's range for outgoing connections, so it is free after a cut.
async fn listen(port: u16) -> TcpListener {
    const ATTEMPTS: u32 = 50;
    for _ in 0..ATTEMPTS {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the proxy cannot listen on port {port}");
}

async fn run(listener: TcpListener, port: u16, line: Line) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut watched = line.network.clone();
    loop {
        let is_cut = *watched.borrow_and_update() == Network::Cut;
        if is_cut {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(listen(port).await);
        }
        tokio::select! {
            changed = watched.changed() => if changed.is_err() { return },
            stream = accept(listener.as_ref()) => {
                if let Some(stream) = stream {
                    connections.spawn(carry(stream, line.clone()));
                }
            }
            // The two ends of a connection handle its errors.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn carry(near: TcpStream, mut line: Line) {
    // Only silences from now on count.
    line.silences.mark_unchanged();
    if !works(&mut line.network).await {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", line.target)).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let mut both = pin!(async {
        tokio::join!(
            copy(from_near, to_far, line.network.clone(), Some(&line.sent)),
            copy(from_far, to_near, line.network.clone(), None)
        )
    });
    let mut silences = line.silences.clone();
    tokio::select! {
        _ = &mut both => {}
        // The connection stays open, but no byte passes any more.
        Ok(()) = silences.changed() => std::future::pending().await,
    }
}

/// Copies one direction until it ends. After a stall, writes what it read during the stall.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    sent: Option<&Sent>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let left = sent.map_or(u64::MAX, Sent::left);
        let passes = usize::try_from(left).map_or(read, |left| left.min(read));
        if !works(&mut network).await || to.write_all(&buffer[..passes]).await.is_err() {
            return;
        }
        if let Some(sent) = sent {
            sent.so_far.fetch_add(passes as u64, Ordering::SeqCst);
        }
        if passes < read {
            return std::future::pending().await;
        }
    }
    let _ = to.shutdown().await;
}

/// Waits until the network works; `false` when the proxy is gone.
async fn works(network: &mut watch::Receiver<Network>) -> bool {
    network
        .wait_for(|network| *network == Network::Works)
        .await
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that returns each byte that it receives.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        port
    }

    async fn exchange(stream: &mut TcpStream) -> Option<u8> {
        stream.write_all(b"x").await.ok()?;
        let answer = tokio::time::timeout(Duration::from_secs(1), stream.read_u8()).await;
        answer.ok()?.ok()
    }

    #[tokio::test]
    async fn it_silences_the_open_connections_only() {
        let proxy = Proxy::start(echo().await).await;
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port()));
        let mut old = connect().await.unwrap();
        assert_eq!(exchange(&mut old).await, Some(b'x'));
        proxy.silence();
        assert_eq!(exchange(&mut old).await, None);
        let end = tokio::time::timeout(Duration::from_millis(100), old.read_u8()).await;
        assert!(end.is_err(), "it stays open");
        assert_eq!(exchange(&mut connect().await.unwrap()).await, Some(b'x'));
    }

    #[tokio::test]
    async fn it_cuts_a_connection_after_the_set_number_of_bytes() {
        let proxy = Proxy::start(echo().await).await;
        proxy.send_at_most(2);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port()))
            .await
            .unwrap();
        assert_eq!(exchange(&mut stream).await, Some(b'x'));
        assert!(!proxy.has_sent_all());
        stream.write_all(b"yz").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'y');
        assert!(proxy.has_sent_all());
        assert_eq!(exchange(&mut stream).await, None);
        assert_eq!(proxy.sent(), 2);
    }

    #[tokio::test]
    async fn it_carries_stalls_cuts_and_carries_again() {
        let proxy = Proxy::start(echo().await).await;
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port()));
        let mut stream = connect().await.unwrap();
        assert_eq!(exchange(&mut stream).await, Some(b'x'));

        proxy.set(Network::Stalls);
        assert_eq!(exchange(&mut stream).await, None);
        proxy.set(Network::Works);
        assert_eq!(stream.read_u8().await.unwrap(), b'x', "late, and not lost");

        proxy.set(Network::Cut);
        crate::eventually("refused", Duration::from_secs(5), async || {
            connect().await.is_err()
        })
        .await;
        assert_eq!(exchange(&mut stream).await, None);

        proxy.set(Network::Works);
        crate::eventually("carried again", Duration::from_secs(5), async || {
            let Ok(mut stream) = connect().await else {
                return false;
            };
            exchange(&mut stream).await == Some(b'x')
        })
        .await;
    }
}
