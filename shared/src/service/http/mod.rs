//! Listeners: HTTP/1.1 on hyper. Everything has a limit, and everything ends.
//!
//! Owns sockets and their limits. The service handles paths and bodies.

mod connections;
mod open;
mod serve;
mod stream;
mod target;

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use crate::log;
use crate::service::telemetry::events;

pub use open::OpenConnections;
pub use serve::{serve, serve_each, serve_on_each_core};
pub use target::Malformed;

/// How many connections may wait to be accepted. The kernel ignores a client when the queue is
/// full, and the client tries again a second later.
const BACKLOG: u32 = 4096;

/// How many bytes of answers the kernel keeps for each client; Linux doubles it to have room for
/// its own data. Without this limit it keeps megabytes for a client that does not read. A client
/// with a delay of a tenth of a second still gets the largest answer in under a second.
const SEND_BUFFER: u32 = 32 << 10;

/// The largest TCP segment, in bytes. On loopback, a single segment is large enough to fill the send
/// buffer. The client's kernel acknowledges one segment after 40 ms, and two at once: without this
/// limit a client on the same machine gets 1.6 MB a second. Segments of networks are smaller anyway.
/// Linux accepts no larger limit. A smaller one would cut a collection in two, and the client's
/// kernel would acknowledge each at once, which costs the server a tenth more.
const LARGEST_SEGMENT: u32 = 32_767;

/// Open files reserved for everything but client connections: the cache, the admin address and its
/// connections, and the runtime.
const OTHER_FILES: usize = 128;

/// The limits of a listener for its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. When the listener is full, a new connection replaces the one with the
    /// oldest last request.
    pub connections: usize,
    /// Answers that are streams, beside the connections. The service counts them.
    pub streams: usize,
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
            streams: 5000,
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
        if sockets < self.connections + self.streams {
            log!(
                events::FILES_LIMITED,
                files,
                connections = sockets,
                "only {files} files may be open, so at most {sockets} connections"
            );
        }
        // With few files, a quarter of the sockets.
        let room = sockets.saturating_sub(self.connections).max(sockets / 4);
        let streams = self.streams.min(room);
        Self {
            connections: self.connections.min(sockets - streams),
            streams,
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
    SockRef::from(&socket).set_tcp_mss(LARGEST_SEGMENT)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_send_buffer_has_room_for_several_segments() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), "LISTEN_ADDR").unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let (_client, (accepted, _)) = (client.unwrap(), accepted.unwrap());
        let socket = SockRef::from(&accepted);
        let segment = socket.tcp_mss().unwrap() as usize;
        assert!(
            segment * 2 <= socket.send_buffer_size().unwrap(),
            "{segment}"
        );
    }
}
