//! Private Redis servers: own ports, own directories, killed and restarted at will.
//!
//! | part | is |
//! |---|---|
//! | [`Redis`] | one server |
//! | [`Failover`] | a master, its replicas, and the sentinels that replace it when it dies |
//! | [`Cluster`] | three nodes that share the keys |
//! | [`Certificates`] | what a server with TLS needs, and whom its clients must trust |
//!
//! Keeps nothing on disk unless it is asked to, and never touches a Redis that was there before.

mod certificates;
mod cluster;
mod failover;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{Process, Signal, installed};
use crate::{PATIENCE, eventually, free_port};

pub use certificates::Certificates;
pub use cluster::Cluster;
pub use failover::Failover;

/// The bound of one `redis-cli`, and of one PING.
const CLI: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills it and removes its directory.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    args: Vec<String>,
    /// What it says when it is ready.
    ready: &'static str,
    directory: TempDir,
}

impl Redis {
    /// Starts one that forgets everything when it ends.
    ///
    /// # Panics
    ///
    /// When `redis-server` is not installed or does not become ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one that survives [`kill`](Self::kill) and [`restart`](Self::restart) with all its
    /// data: every write is on disk before it is confirmed.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_persistent() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts one with more arguments, which override the usual ones.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_with(extra: &[&str]) -> Self {
        Self::start_as("Ready to accept", |port, directory| {
            arguments(port, directory, extra)
        })
        .await
    }

    /// Starts a sentinel with these lines in its configuration.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_sentinel(lines: &str) -> Self {
        Self::start_as("Sentinel ID is", |port, directory| {
            // A sentinel keeps what it learns in its configuration, so it must be a file.
            let file = directory.join("sentinel.conf");
            let usual = format!("bind 127.0.0.1\nport {port}\ndir {}", directory.display());
            std::fs::write(&file, format!("{usual}\n{lines}\n")).expect("a directory to write to");
            vec![file.display().to_string(), "--sentinel".to_owned()]
        })
        .await
    }

    /// Starts one whose arguments depend on its port and directory, and which says `ready`.
    async fn start_as(ready: &'static str, arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        /// Somebody else may take a free port before Redis does; not this often in a row.
        const ATTEMPTS: usize = 5;

        let directory = tempfile::tempdir().expect("a temporary directory for Redis");
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let args = arguments(port, directory.path());
            let mut process = launch(&args);
            if is_ready(&mut process, port, ready).await {
                return Self {
                    process,
                    port,
                    args,
                    ready,
                    directory,
                };
            }
            let said = process.stdout().join("\n");
            assert!(
                said.contains("Address already in use"),
                "redis-server ended:\n{said}"
            );
        }
        panic!("redis-server found no free port in {ATTEMPTS} attempts");
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port, which stays the same through restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory with its append-only file, if it writes one.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills it (SIGKILL) and waits until it is gone; connecting is refused from here on.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again on the same port with the same directory; kills it first if it runs.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn restart(&mut self) {
        self.process.kill().await;
        self.process = launch(&self.args);
        let ready = is_ready(&mut self.process, self.port, self.ready).await;
        assert!(
            ready,
            "redis-server did not return:\n{}",
            self.process.stdout().join("\n")
        );
    }

    /// Freezes it: connections stay open, and new ones are accepted by the kernel, but nothing is
    /// answered.
    pub fn pause(&self) {
        self.process.signal(Signal::Stop);
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.signal(Signal::Cont);
    }

    /// What `redis-cli` prints for these arguments, without the line's end. Errors of Redis are
    /// printed as well.
    ///
    /// # Panics
    ///
    /// When there is no `redis-cli`, or no answer within 10 s.
    pub async fn cli(&self, args: &[&str]) -> String {
        let command = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(args)
            .kill_on_drop(true)
            .output();
        let Ok(output) = tokio::time::timeout(CLI, command).await else {
            panic!("no answer from Redis within {CLI:?}: {args:?}");
        };
        let output = output.expect("redis-cli is installed");
        let mut said = output.stdout;
        said.extend(output.stderr);
        String::from_utf8_lossy(&said).trim_end().to_owned()
    }
}

fn arguments(port: u16, directory: &Path, extra: &[&str]) -> Vec<String> {
    let port = port.to_string();
    let directory = directory
        .to_str()
        .expect("a temporary directory with a plain name");
    let usual = ["--bind", "127.0.0.1", "--port", &port, "--dir", directory];
    let forgetful = ["--save", "", "--appendonly", "no"];
    [&usual[..], &forgetful[..], extra]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn launch(args: &[String]) -> Process {
    let program = installed("redis-server")
        .next()
        .expect("redis-server is not installed: apt-get install redis-server");
    Process::spawn("redis-server", program, args, &[])
}

/// Waits until it says that it is ready and answers PING; `false` when the process ended instead.
///
/// Both, because another Redis may answer on that port while this one fails to take it.
async fn is_ready(process: &mut Process, port: u16, ready: &str) -> bool {
    eventually("redis-server answers PING", PATIENCE, async || {
        if !process.is_running() {
            return Some(false);
        }
        let is_said = process.stdout().iter().any(|line| line.contains(ready));
        (is_said && answers_ping(port).await).then_some(true)
    })
    .await
}

async fn answers_ping(port: u16) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).await?;
        std::io::Result::Ok(reply)
    };
    match tokio::time::timeout(CLI, exchange).await {
        // One that wants a password is ready too; one that is still loading is not.
        Ok(Ok(reply)) => &reply == b"+PONG" || &reply == b"-NOAU",
        _ => false,
    }
}
