//! What makes a process a good service.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | typed configuration from the environment |
//! | [`http`] | the accept loop, with a limit on everything |
//! | [`admin`] | `/livez`, `/readyz` and `/metrics`, and the health check that calls the second |
//! | [`metrics`] | figures for Prometheus |
//! | [`telemetry`], [`console`], [`terminal`] | log lines; the output of commands; what a terminal can show |
//! | [`shutdown`], [`supervisor`], [`tls`] | signals; what systemd learns; the cryptography provider |
//!
//! Knows nothing of films.

pub mod admin;
pub mod config;
pub mod console;
pub mod http;
pub mod metrics;
mod process;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod terminal;
pub mod tls;
