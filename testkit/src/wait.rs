//! Waits with a time limit, and free ports.
//!
//! Never waits a fixed time: checks a condition again until it holds or the time limit passes.

use std::net::TcpListener;
use std::ops::Range;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
#[cfg(target_os = "linux")]
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The time between two checks of [`eventually`].
const INTERVAL: Duration = Duration::from_millis(25);

/// Below Linux's range for local ports of outgoing connections (32768 and up), so a port stays free
/// while its service is down and about to return.
const PORTS: Range<u16> = 12_000..32_000;

/// What a probe of [`eventually`] may return: `bool`, or an `Option` with the wanted value.
pub trait ProbeResult {
    /// What [`eventually`] returns once the answer is positive.
    type Value;

    /// The value of a positive answer, `None` for "not yet".
    fn settled(self) -> Option<Self::Value>;
}

impl ProbeResult for bool {
    type Value = ();

    fn settled(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> ProbeResult for Option<T> {
    type Value = T;

    fn settled(self) -> Option<T> {
        self
    }
}

/// Calls `probe` every 25 ms until it returns `true` or `Some`, and returns the result.
///
/// The time limit includes the probe itself: a probe that hangs is given up.
///
/// # Panics
///
/// When `within` has passed; the message contains `what`.
pub async fn eventually<A: ProbeResult>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> A,
) -> A::Value {
    let search = async {
        loop {
            if let Some(value) = probe().await.settled() {
                return value;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let Ok(value) = tokio::time::timeout(within, search).await else {
        panic!("waited {within:?} in vain for: {what}");
    };
    value
}

/// A TCP port on 127.0.0.1 on which nothing listens now.
///
/// Another process may still take it first. If the system can choose the port (port 0), do that; if
/// the caller listens itself, use a [`free_listener`].
///
/// # Panics
///
/// When no port is free.
pub fn free_port() -> u16 {
    let address = free_listener().local_addr();
    address.expect("a bound listener has an address").port()
}

/// A listener on 127.0.0.1. Until this process ends, no other process gets its port from here, even
/// while nothing listens there.
///
/// # Panics
///
/// When no port is free.
pub fn free_listener() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static RESERVATIONS: Mutex<Vec<Reservation>> = Mutex::new(Vec::new());

    let span = u32::from(PORTS.end - PORTS.start);
    // Close process ids give distant ports: 7919 is prime and does not divide the span.
    let seed = std::process::id().wrapping_mul(7919) % span;
    (0..span)
        .find_map(|_| {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let offset = (seed + step) % span;
            let port =
                PORTS.start + u16::try_from(offset).expect("an offset within the range fits");
            let reservation = reserve(port)?;
            let listener = TcpListener::bind(("127.0.0.1", port)).ok()?;
            let mut reservations = RESERVATIONS.lock().unwrap_or_else(PoisonError::into_inner);
            reservations.push(reservation);
            Some(listener)
        })
        .expect("a free port on 127.0.0.1")
}

/// A socket whose name stands for a port. One process can bind a name at a time, and Linux frees the
/// name when that process ends.
#[cfg(target_os = "linux")]
type Reservation = UnixListener;

#[cfg(target_os = "linux")]
fn reserve(port: u16) -> Option<Reservation> {
    let name = format!("ghibli-testkit-port-{port}");
    let address = SocketAddr::from_abstract_name(name).expect("a short name");
    UnixListener::bind_addr(&address).ok()
}

/// Elsewhere a port may be taken by chance.
#[cfg(not(target_os = "linux"))]
type Reservation = ();

#[cfg(not(target_os = "linux"))]
fn reserve(_port: u16) -> Option<Reservation> {
    Some(())
}
