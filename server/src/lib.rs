//! The server: a reader that answers every request from memory.
//!
//! | module | owns |
//! |---|---|
//! | [`follow`] | the newest snapshot and status, read from the cache |
//! | [`publish`] | what the server serves now: rendered off the request path, replaced atomically |
//! | [`render`] | a snapshot as bytes: every JSON body of a generation |
//! | [`query`] | the upstream's query language: parses query strings, selects records |
//! | [`pages`] | the HTML for people |
//! | [`mod@reference`] | the OpenAPI document, and the same as a page |
//! | [`relations`] | which records belong to which, from both sides of a link |
//! | [`routes`] | paths, as a warp filter, and the guard before it |
//! | `answer` | the answer for each kind of path |
//! | `desk` | threads for answers that the server must compute |
//! | [`respond`] | one HTTP answer: conditional requests, content coding, headers |
//! | `policy` | the headers that make browsers refuse what a page does not need |
//! | [`fallback`] | the edge's answers while no reader can answer |
//! | [`config`] | the environment variables |
//!
//! Never talks to the upstream, never writes to the cache, and waits for neither in a request.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod answer;
pub mod config;
mod desk;
pub mod fallback;
pub mod follow;
pub mod pages;
mod policy;
pub mod publish;
pub mod query;
pub mod reference;
pub mod relations;
pub mod render;
pub mod respond;
pub mod routes;
