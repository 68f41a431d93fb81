//! Test equipment, never shipped: everything that a test of the mirror needs besides the mirror.
//!
//! | module | owns |
//! |---|---|
//! | [`upstream`] | a stand-in Ghibli API that counts its requests and fails on demand |
//! | [`process`] | the project's real binaries: start, read their logs, signal, kill |
//! | [`terminal`] | a terminal that runs a program |
//! | [`mirror`] | a whole mirror in one line, for tests of servers' answers |
//! | [`mod@edge`] | Traefik in front of readers, on machines that have it |
//! | [`attack`] | attacks on a server, and what they cost the server |
//! | [`oracle`] | the software that the upstream runs, on machines that have node |
//! | [`redis`] | a private Redis server that tests can kill, pause and restart |
//! | [`proxy`] | a TCP proxy that can cut the network |
//! | [`receiver`] | a receiver of webhooks that may fail |
//! | [`tls`] | TLS in front of a stand-in, with a good or a bad certificate |
//! | [`client`] | a small HTTP client with limits, and a hammer |
//! | [`document`] | a part of a document that a test writes |
//! | [`skip()`] | what a test says that this machine cannot run |
//! | [`sample`] | records and catalogues in a line or two |
//!
//! The equipment panics with a sentence that says what it awaited and what it saw instead. Every
//! wait has a limit. Nothing here depends on `shared`, `poller` or `server`: otherwise a mistake
//! there could change its own test and hide.

pub mod attack;
pub mod chaos;
pub mod client;
pub mod document;
pub mod edge;
pub mod mirror;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod sample;
mod skip;
pub mod terminal;
pub mod tls;
pub mod upstream;
mod wait;

pub use skip::{is_ci, skip};
pub use wait::{ProbeResult, eventually, free_listener, free_port};

/// The whole real catalogue with all its oddities: the five collections built into the poller.
///
/// For a small one, see [`sample::catalogue`].
pub fn catalogue() -> serde_json::Value {
    serde_json::from_str(include_str!("../../poller/src/builtin.json"))
        .expect("the built-in catalogue is JSON")
}

/// How long the equipment waits for an event before it panics, unless the caller sets another time.
///
/// Long enough for a busy machine, and short enough that a person notices a hanging test.
pub const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
