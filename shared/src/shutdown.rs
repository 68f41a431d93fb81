//! When to stop: SIGTERM from a supervisor, or Ctrl-C from a person.

use tokio::signal::unix::{SignalKind, signal};

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
