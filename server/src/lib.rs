//! The server: a reader that answers every request from memory.
//!
//! | module | owns |
//! |---|---|
//! | [`follow`] | the newest snapshot and status, read from the cache |
//! | [`publish`] | what is served now: rendered off the request path, swapped in at once |
//! | [`render`] | a snapshot as bytes: every JSON body of a generation |
//! | [`query`] | the upstream's query language: a query string as a plan, a plan over records |
//! | [`pages`] | the HTML for people |
//! | [`mod@reference`] | the OpenAPI document, and the same as a page |
//! | [`relations`] | which records belong to which, from both sides of a link |
//! | [`routes`] | paths, as a warp filter, and what stands before it |
//! | `answer` | what each kind of path answers |
//! | `desk` | threads for answers that have to be computed |
//! | [`respond`] | one HTTP answer: conditional requests, content coding, headers |
//! | `policy` | what browsers are told to refuse on every page |
//! | [`fallback`] | what the edge answers with when no reader can |
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
