//! When to stop: SIGTERM from a supervisor, or Ctrl-C from a person.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// How long the threads that work on files get to finish at the end. One that hangs on a dead
/// network file system would never.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Does the work of a whole process on a runtime of its own, and ends whatever still runs.
///
/// # Errors
/// When there can be no runtime.
pub fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}

/// Resolves with the signal's name when the process is asked to stop.
///
/// # Errors
/// When the process cannot listen for signals; it should not start then.
pub fn requested() -> std::io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
