//! The code that poller and server share.
//!
//! | module | owns |
//! |---|---|
//! | [`catalogue`] | the domain: records, collections, the pure merge, snapshot and status |
//! | [`cache`] | stores snapshot and status, in Redis or in a directory of files |
//! | [`service`] | what makes a process a good service: configuration, log, HTTP, signals |
//!
//! Nothing in this crate talks to the upstream.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cache;
pub mod catalogue;
pub mod service;
