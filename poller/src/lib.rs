//! The poller: the only thing that talks to the upstream, and the only writer to the cache.
//!
//! | module | owns |
//! |---|---|
//! | [`daemon`] | runs for ever: a sync at start, then one per trigger, never two at once |
//! | [`schedule`] | when to sync |
//! | [`due`] | when the next sync is due, although people can set the clock |
//! | [`patience`] | how long to leave an upstream alone that does not answer |
//! | [`orders`] | the operator's orders to a running poller: accept, prune |
//! | [`sync`] | one cycle: fetch, advance, commit, report |
//! | [`advance`] | the pure middle of a cycle: computes the next snapshot |
//! | [`restore`] | restores a cache that has lost data which a poller remembers |
//! | [`limits`] | how large a collection may be |
//! | [`proxies`] | refuses proxy variables that the HTTP client would ignore |
//! | [`upstream`] | HTTP to the Ghibli API, with a limit on everything |
//! | [`report`] | the report of a cycle, as log lines and as text |
//! | [`printable`] | makes text from outside safe to show |
//! | [`builtin`] | the catalogue that is served until the upstream has answered once |
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
