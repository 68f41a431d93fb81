//! What poller and server agree on: the words of the project as types, the cache that lies
//! between the two, and the plumbing that every process needs.
//!
//! | module | owns |
//! |---|---|
//! | [`catalogue`] | records, collections and the pure merge |
//! | [`snapshot`] | everything the mirror knows, as one immutable document |
//! | [`lineage`] | which commits a snapshot builds on |
//! | [`status`] | what the last syncs did |
//! | [`cache`] | where both rest: Redis, or a directory of files |
//! | [`config`] | typed configuration from the environment |
//! | [`http`] | the accept loop, with a limit on everything |
//! | [`admin`] | `/livez` and `/readyz`, and the health check that asks for them |
//! | [`telemetry`], [`console`] | log lines; what commands print |
//! | [`shutdown`], [`tls`] | signals; the cryptography provider |
//!
//! Nothing in here talks to the upstream.

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
