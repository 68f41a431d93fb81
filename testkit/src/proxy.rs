//! A TCP proxy on 127.0.0.1 whose network can be cut or made to swallow everything.
//!
//! Stands between one process and a server. Knows nothing of what is said through it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::free_port;

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They arrive.
    Works,
    /// Connections are accepted and stay open, and nothing arrives until it works again.
    Stalls,
    /// Open connections are closed, and new ones refused.
    Cut,
}

/// A running proxy. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of `target`, a port on 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn start(target: u16) -> Self {
        let port = free_port();
        let listener = listen(port).await;
        let (network, watched) = watch::channel(Network::Works);
        let task = tokio::spawn(run(listener, port, target, watched));
        Self {
            port,
            network,
            task,
        }
    }

    /// The port, which stays the same whatever the network does.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what the network does, from here on.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The port lies below those that the system hands out, so that it is free again after a cut.
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

async fn run(listener: TcpListener, port: u16, target: u16, network: watch::Receiver<Network>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut watched = network.clone();
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
                    connections.spawn(carry(stream, target, network.clone()));
                }
            }
            // What a connection ended with is the affair of its two ends.
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

async fn carry(near: TcpStream, target: u16, network: watch::Receiver<Network>) {
    if !works(&mut network.clone()).await {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    tokio::join!(
        copy(from_near, to_far, network.clone()),
        copy(from_far, to_near, network)
    );
}

/// Copies one direction until it ends; what was read during a stall is written after it.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !works(&mut network).await || to.write_all(&buffer[..read]).await.is_err() {
            return;
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

    /// A server that sends back what it gets.
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
        let answer = tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await;
        answer.ok()?.ok()
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
