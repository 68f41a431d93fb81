//! Real processes: start them, read their output, send signals, and never leave one behind.
//!
//! | part | owns |
//! |---|---|
//! | [`Process`] | any program: its life and its output |
//! | [`binaries()`] | where the project's own programs are, built when needed |
//! | [`Poller`], [`Server`] | the project's programs with a configuration for tests |
//!
//! A process inherits only `PATH` and `HOME` from the test's environment.

mod binaries;
mod output;
mod programs;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

pub use binaries::{Binaries, binaries, build, cargo};
pub use output::Mark;
pub use programs::{Poller, RunningPoller, RunningServer, Server};

use crate::TIME_LIMIT;
pub(crate) use output::Output;

/// The programs of this name on `PATH`; the shell would run the first.
pub fn installed(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    directories
        .into_iter()
        .map(move |directory| directory.join(program))
        .filter(|program| program.is_file())
}

/// A signal that tests send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: asks the process to end.
    Term,
    /// SIGINT: what Ctrl-C sends.
    Int,
    /// SIGKILL: ends the process at once.
    Kill,
    /// SIGSTOP: freezes the process; its sockets stay open and silent.
    Stop,
    /// SIGCONT: lets the process continue.
    Cont,
}

/// A running program. Dropping it kills it, even if it is frozen.
///
/// It stays in the test's process group: a test runner that ends the group ends it too.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
}

impl Process {
    /// Starts `program`. Panics use `name` for the process.
    ///
    /// # Panics
    ///
    /// When the program does not start, or outside a Tokio runtime.
    pub fn spawn(
        name: &str,
        program: impl AsRef<OsStr>,
        args: &[impl AsRef<OsStr>],
        envs: &[(&str, String)],
    ) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(
                ["PATH", "HOME"]
                    .iter()
                    .filter_map(|key| Some((key, std::env::var_os(key)?))),
            )
            .envs(envs.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({}): {error}", program.display()));
        Self {
            name: name.to_owned(),
            pid: child.id().expect("a child that was not awaited has an id"),
            stdout: Output::capture(child.stdout.take().expect("stdout is a pipe")),
            stderr: Output::capture(child.stderr.take().expect("stderr is a pipe")),
            child,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The last 10,000 lines of standard output.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// The last 10,000 lines of standard error.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// The lines of standard error that are JSON objects: the log.
    pub fn logs(&self) -> Vec<Value> {
        self.stderr
            .lines()
            .iter()
            .filter_map(|line| log_line(line))
            .collect()
    }

    /// The end of the log so far, for [`wait_for_log_since`](Self::wait_for_log_since).
    pub fn mark(&self) -> Mark {
        self.stderr.mark()
    }

    /// The lines of standard error since `mark`, and the new end.
    pub fn stderr_since(&self, mark: Mark) -> (Vec<String>, Mark) {
        self.stderr.since(mark)
    }

    /// The first log line of this event for which `is_it` returns `true`, among the lines that
    /// are already there or the next ones.
    ///
    /// # Panics
    ///
    /// After [`TIME_LIMIT`], or when the process ends first; the message shows the last 40 lines.
    pub async fn wait_for_log(&self, event: &str, is_it: impl FnMut(&Value) -> bool) -> Value {
        self.wait_for_log_since(Mark::default(), event, is_it).await
    }

    /// As [`wait_for_log`](Self::wait_for_log), but ignores the lines before `mark`.
    ///
    /// # Panics
    ///
    /// After [`TIME_LIMIT`], or when the process ends first; the message shows the last 40 lines.
    pub async fn wait_for_log_since(
        &self,
        mark: Mark,
        event: &str,
        mut is_it: impl FnMut(&Value) -> bool,
    ) -> Value {
        let wanted = |line: &str| log_line(line).filter(|log| log["event"] == event && is_it(log));
        let search = tokio::time::timeout(TIME_LIMIT, self.stderr.find(mark, wanted)).await;
        let Ok(found) = search else {
            panic!(
                "{} did not log {event:?} in {TIME_LIMIT:?}{}",
                self.name,
                self.tail()
            );
        };
        let Some(log) = found else {
            panic!(
                "{} ended without logging {event:?}{}",
                self.name,
                self.tail()
            );
        };
        log
    }

    /// Sends a signal, unless the process has ended.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) {
        // Until this process awaits a child, the child keeps its id, so the signal cannot hit a
        // stranger.
        if self.child.id().is_none() {
            return;
        }
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Int => rustix::process::Signal::INT,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Cont => rustix::process::Signal::CONT,
        };
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .expect("ids are positive");
        kill_process(pid, signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Waits until the process has ended and all its output is captured.
    ///
    /// # Panics
    ///
    /// After [`TIME_LIMIT`]; the message shows the last 40 lines.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = async {
            let status = self.child.wait().await.expect("a child can be awaited");
            // A grandchild may hold the pipes open; this does not wait for its output.
            let closed = async { tokio::join!(self.stdout.closed(), self.stderr.closed()) };
            let _ = tokio::time::timeout(Duration::from_secs(1), closed).await;
            status
        };
        let Ok(status) = tokio::time::timeout(TIME_LIMIT, ended).await else {
            panic!("{} did not end in {TIME_LIMIT:?}{}", self.name, self.tail());
        };
        status
    }

    /// Whether the process still runs; a frozen process counts as running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process (SIGKILL), and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.wait().await;
    }

    /// The last lines of both outputs, for a panic's message.
    fn tail(&self) -> String {
        const LINES: usize = 40;
        [("stdout", &self.stdout), ("stderr", &self.stderr)]
            .into_iter()
            .map(|(stream, output)| {
                let lines = output.lines();
                let last = &lines[lines.len().saturating_sub(LINES)..];
                format!("\n--- {stream} of {} ---\n{}", self.name, last.join("\n"))
            })
            .collect::<Vec<_>>()
            .concat()
    }
}

fn log_line(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(Value::is_object)
}
