//! The server: a reader that answers every request from memory.
//!
//! | module | owns |
//! |---|---|
//! | [`follow`] | the newest snapshot and status, read from the cache |
//! | [`publish`] | what the server serves now: rendered off the request path, replaced atomically |
//! | [`render`] | a snapshot as bytes: every JSON body of a generation |
//! | [`pages`] | the HTML for people |
//! | [`feeds`] | news for machines: Atom, JSON Feed, `/changes` |
//! | [`mod@events`] | the news as they come: Server-Sent Events |
//! | [`status`] | how the mirror is, in words |
//! | [`mod@reference`] | the OpenAPI document, and the same as a page |
//! | [`query`] | the upstream's query language: parses query strings, selects records |
//! | [`http`] | paths, handlers, and what every answer has in common |
//! | [`metrics`] | the figures for Prometheus |
//! | [`fallback`] | the edge's answers while no reader can answer |
//! | [`config`] | the environment variables |
//!
//! Never talks to the upstream, never writes to the cache, and waits for neither in a request.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod config;
pub mod events;
pub mod fallback;
pub mod feeds;
pub mod follow;
pub mod http;
pub mod metrics;
pub mod pages;
pub mod publish;
pub mod query;
pub mod reference;
pub mod render;
pub mod status;

/// This program's version and commit: `0.1.0 (abc1234)`.
pub const VERSION: &str = env!("GHIBLI_VERSION");
