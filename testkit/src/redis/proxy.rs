//! A way to a server that can fall silent, as networks do: nothing arrives, nothing is refused.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy on 127.0.0.1. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    /// How often it has fallen silent.
    silences: watch::Sender<usize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one that leads to a port on 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port on 127.0.0.1");
        let port = listener.local_addr().expect("a bound socket").port();
        let (silences, silence) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server, silence.clone()));
            }
        });
        Self {
            port,
            silences,
            accepting,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing passes through the connections that are open; they stay open. New ones
    /// work.
    pub fn silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut client: TcpStream, server: u16, mut silence: watch::Receiver<usize>) {
    // Only what comes from now on counts.
    silence.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = silence.changed() => std::future::pending().await,
    }
}
