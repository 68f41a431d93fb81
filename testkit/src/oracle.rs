//! The oracle's process: the software that the upstream runs, with a catalogue from the test.
//!
//! It needs node, and `npm ci` in `testkit/oracle`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running oracle. Dropping it kills it.
#[derive(Debug)]
pub struct Oracle {
    /// Its base URL, without a slash at the end.
    pub base: String,
    process: Child,
}

/// The path of a file in the oracle's directory.
pub fn beside(name: &str) -> PathBuf {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit.join("oracle").join(name)
}

impl Oracle {
    /// Starts on a free port with a file that holds a catalogue. `None` where node or the oracle's
    /// packages are not installed.
    ///
    /// # Panics
    ///
    /// When it starts but prints nothing.
    pub fn start(catalogue: &Path) -> Option<Self> {
        if !beside("node_modules/json-server").exists() {
            return None;
        }
        let mut process = Command::new("node")
            .arg(beside("server.js"))
            .arg(catalogue)
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
