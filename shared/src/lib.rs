//! The code that poller and server share: the project's terms as types, the cache between the two,
//! and the infrastructure that every process needs.
//!
//! | module | owns |
//! |---|---|
//! | [`catalogue`] | records, collections and the pure merge |
//! | [`snapshot`] | everything the mirror knows, as one immutable document |
//! | [`lineage`] | which commits a snapshot builds on |
//! | [`status`] | what the last syncs did |
//! | [`cache`] | stores both, in Redis or in a directory of files |
//! | [`config`] | typed configuration from the environment |
//! | [`http`] | the accept loop, with a limit on everything |
//! | [`admin`] | `/livez` and `/readyz`, and the health check that calls them |
//! | [`telemetry`], [`console`] | log lines; the output of commands |
//! | [`shutdown`], [`tls`] | signals; the cryptography provider |
//!
//! Nothing in this crate talks to the upstream.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod cache;
pub mod catalogue;
pub mod config;
pub mod console;
pub mod http;
pub mod lineage;
pub mod shutdown;
pub mod snapshot;
pub mod status;
pub mod telemetry;
pub mod tls;
