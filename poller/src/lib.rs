//! The poller: the only thing that talks to the upstream, and the only writer to the cache.
//!
//! | module | owns |
//! |---|---|
//! | [`daemon`] | running for ever: first sync at start, then one per trigger, never two at once |
//! | [`schedule`] | when to sync |
//! | [`due`] | when the next sync is due, by clocks that people set |
//! | [`patience`] | how long to leave an upstream alone that does not answer |
//! | [`orders`] | what a person can tell a running poller to do: accept, prune |
//! | [`sync`] | one cycle: fetch, advance, commit, report |
//! | [`advance`] | the pure middle of a cycle: a snapshot and five outcomes give the next snapshot |
//! | [`restore`] | what becomes of a cache that has lost what a poller remembers |
//! | [`limits`] | how much a collection may be |
//! | [`proxies`] | refusing proxy variables that the HTTP client would ignore |
//! | [`upstream`] | HTTP to the Ghibli API, with a limit on everything |
//! | [`report`] | what a cycle did, as a log line and as text |
//! | [`printable`] | text of others, made fit to be shown |
//! | [`builtin`] | the catalogue that is shown until the upstream has answered once |
//! | [`config`] | the environment variables |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod advance;
pub mod builtin;
pub mod config;
pub mod daemon;
pub mod due;
pub mod limits;
pub mod orders;
pub mod patience;
pub mod printable;
pub mod proxies;
pub mod report;
pub mod restore;
pub mod schedule;
pub mod sync;
pub mod upstream;
