//! Test equipment, never shipped: everything that a test of the mirror needs around the mirror.
//!
//! | module | owns |
//! |---|---|
//! | [`upstream`] | a stand-in Ghibli API that counts its requests and fails on demand |
//! | [`process`] | the project's real binaries: start, read their logs, signal, kill |
//! | [`terminal`] | a terminal with a program in it |
//! | [`mirror`] | a whole mirror in one line, for tests of what servers answer |
//! | [`mod@edge`] | Traefik in front of readers, where it is installed |
//! | [`attack`] | attacks on a server, and what they cost it |
//! | [`oracle`] | the software that the upstream runs, where node is installed |
//! | [`redis`] | a private Redis server that can be killed, paused and restarted |
//! | [`proxy`] | a way to a server that can be cut |
//! | [`tls`] | TLS in front of a stand-in, with a good or a bad certificate |
//! | [`client`] | a small HTTP client with bounds, and a hammer |
//! | [`sample`] | records and catalogues told in a line or two |
//!
//! Test equipment panics, with a sentence that says what was awaited and what was seen instead.
//! Everything that waits has a bound. Nothing here depends on `shared`, `poller` or `server`: a
//! mistake there must not be able to hide itself by changing its own test.

pub mod attack;
pub mod chaos;
pub mod client;
pub mod edge;
pub mod mirror;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod sample;
pub mod terminal;
pub mod tls;
pub mod upstream;
mod wait;

pub use wait::{Answer, eventually, free_listener, free_port};

/// The whole real catalogue, with all its warts: five collections as the poller has them built in.
///
/// For a small one, see [`sample::catalogue`].
pub fn catalogue() -> serde_json::Value {
    serde_json::from_str(include_str!("../../poller/src/builtin.json"))
        .expect("the built-in catalogue is JSON")
}

/// How long the equipment waits for an event before it panics, unless a call says otherwise.
///
/// Long enough for a loaded machine, short enough that a hanging test is noticed by a person.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
