//! When to stop: SIGTERM from a supervisor, or Ctrl-C from a person.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::service::supervisor;

/// How long the threads that work on files may take to finish at the end. A thread that hangs on a
/// dead network file system would never finish.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs a whole process's work on its own runtime, then ends everything that still runs.
///
/// # Errors
/// When the runtime cannot start.
pub fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}

/// Resolves with the signal's name when the process is asked to stop, and notifies the supervisor.
///
/// # Errors
/// When the process cannot listen for signals; then it should not start.
pub fn requested() -> std::io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        supervisor::stopping();
        signal
    })
}
