//! A small HTTP/1.1 client for tests: one request, many requests, or raw bytes.
//!
//! Has bounds on time (10 s for a request) and size (64 MiB for a body). Sends no header that the
//! test did not name, except `Host`; follows no redirect; never asks for compression by itself. Of a
//! stream of events it reads the first piece; [`EventStream`] reads on.

mod connection;
mod events;
mod hammer;
mod request;
mod response;

pub(crate) use connection::CUT;
pub use connection::Connection;
pub use events::{EventStream, ServerSentEvent};
pub use hammer::{Tally, hammer};
pub use request::{get, raw, raw_half_closed, request, try_get, try_request};
pub use response::{Response, TIMEOUT};
