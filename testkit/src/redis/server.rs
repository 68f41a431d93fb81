//! One Redis server: start, ask, freeze, kill and restart.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{Process, Signal, installed};
use crate::{TIME_LIMIT, eventually, free_port};

/// The time limit of one `redis-cli`, and of one PING.
const CLI: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills it and removes its directory.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    args: Vec<String>,
    /// The log text of a server that is ready.
    ready: &'static str,
    directory: TempDir,
}

impl Redis {
    /// Starts a server that forgets everything when it ends.
    ///
    /// # Panics
    ///
    /// When `redis-server` is not installed or does not become ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server that keeps all its data through [`kill`](Self::kill) and
    /// [`restart`](Self::restart): Redis writes each change to disk before it confirms it.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_persistent() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts a server with more arguments, which override the usual ones.
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
            // A sentinel stores what it learns in its configuration, so the configuration must be a
            // file.
            let file = directory.join("sentinel.conf");
            let usual = format!("bind 127.0.0.1\nport {port}\ndir {}", directory.display());
            std::fs::write(&file, format!("{usual}\n{lines}\n")).expect("a directory to write to");
            vec![file.display().to_string(), "--sentinel".to_owned()]
        })
        .await
    }

    /// Starts a server whose arguments depend on its port and directory, and which logs `ready`.
    async fn start_as(ready: &'static str, arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        /// Another process may take a free port before Redis does, but not this often in a row.
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

    /// The port; it stays the same after restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory with its append-only file, if the server writes one.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills the server (SIGKILL), and waits until it is gone. It then refuses connections.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Restarts it on the same port with the same directory; kills it first if it runs.
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

    /// Freezes the server: connections stay open and the kernel accepts new ones, but the server
    /// answers nothing.
    pub fn pause(&self) {
        self.process.signal(Signal::Stop);
    }

    /// Lets the server continue after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.signal(Signal::Cont);
    }

    /// What `redis-cli` prints for these arguments, without the end of line. This includes errors
    /// from Redis.
    ///
    /// # Panics
    ///
    /// Without a `redis-cli`, or when no answer arrives within 10 s.
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

/// Waits until the log says `ready` and Redis answers PING; `false` when the process ended instead.
///
/// Checks both, because another Redis may answer on that port while this one fails to take it.
async fn is_ready(process: &mut Process, port: u16, ready: &str) -> bool {
    eventually("redis-server answers PING", TIME_LIMIT, async || {
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
        // A Redis that wants a password is ready too; a Redis that still loads is not.
        Ok(Ok(reply)) => &reply == b"+PONG" || &reply == b"-NOAU",
        _ => false,
    }
}
