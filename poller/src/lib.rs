//! The poller: the only thing that talks to the upstream, and the only writer to the cache.
//!
//! | module | owns |
//! |---|---|
//! | [`daemon`] | runs for ever: a sync at start, then one per trigger, never two at once |
//! | [`schedule`] | when to sync |
//! | [`due`] | when the next sync is due, although people can set the clock |
//! | [`backoff`] | how long to leave an upstream alone that does not answer |
//! | [`trouble`] | logs what lasts for more than one cycle |
//! | [`commands`] | the operator's commands; a running poller receives the admin commands |
//! | [`cycle`] | one sync: lease, fetch, step, restore, commit, report; changes by admin commands |
//! | [`difference`] | what differs between two snapshots |
//! | [`upstream`] | HTTP to the Ghibli API, with a limit on everything |
//! | [`proxies`] | refuses proxy variables that the HTTP client would ignore |
//! | [`notify`] | heartbeats and webhooks |
//! | [`metrics`] | the figures for Prometheus |
//! | [`printable`] | makes text from outside safe to show |
//! | [`builtin`] | the catalogue that is served until the upstream has answered once |
//! | [`config`] | the environment variables |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod backoff;
pub mod builtin;
pub mod commands;
pub mod config;
pub mod cycle;
pub mod daemon;
pub mod difference;
pub mod due;
pub mod metrics;
pub mod notify;
pub mod printable;
pub mod proxies;
pub mod schedule;
pub mod trouble;
pub mod upstream;

/// This program's version and commit: `0.1.0 (abc1234)`.
pub const VERSION: &str = env!("GHIBLI_VERSION");
