//! The oracle's process.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running oracle over the test catalogue; ends when dropped.
pub(crate) struct Oracle {
    pub(crate) base: String,
    process: Child,
}

/// A file beside the oracle.
pub(crate) fn beside(name: &str) -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.join("../testkit/oracle").join(name)
}

impl Oracle {
    /// Nothing where node or the oracle's packages are not installed.
    pub(crate) fn start() -> Option<Self> {
        if !beside("node_modules/json-server").exists() {
            return None;
        }
        let mut process = Command::new("node")
            .arg(beside("server.js"))
            .arg(beside("catalogue.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut port = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut port).expect("a line");
        let base = format!("http://127.0.0.1:{}", port.trim());
        Some(Self { base, process })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
