//! What the supervisor learns: that the process is ready, and that it stops (`sd_notify(3)`, for
//! units of `Type=notify`).
//!
//! Without a supervisor that asks, and when it does not listen, nothing happens.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;

use crate::log;
use crate::service::telemetry::events;

/// Where supervisors say on which socket they listen.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The process has its addresses and serves, or waits, by itself. A server is ready here before it
/// has loaded anything: systemd would otherwise end one that waits for the cache.
pub fn ready() {
    notify("READY=1");
}

/// The process was asked to stop, and finishes its work.
pub(crate) fn stopping() {
    notify("STOPPING=1");
}

fn notify(state: &str) {
    let Some(socket) = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        let reason = error.to_string();
        log!(
            events::SUPERVISOR_DEAF,
            state,
            reason,
            "cannot send {state} to the supervisor: {reason}"
        );
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold up the work.
    sender.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return sender.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    sender.send_to(state.as_bytes(), socket).map(drop)
}
