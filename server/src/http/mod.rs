//! HTTP as this server speaks it.
//!
//! | module | owns |
//! |---|---|
//! | [`guard`] | the service: methods, and what routes get of a request |
//! | [`measure`] | counts and times requests, around the service |
//! | `routes` | paths, as a warp filter |
//! | [`handlers`] | the answer for each kind of path |
//! | `stream` | the answer to `/events`, which has no end |
//! | [`respond`] | one answer from a body |
//! | [`problems`] | errors (RFC 9457) |
//! | `conditional` | whether the client has the body already: 304 |
//! | `negotiation` | which coding of a body the client gets |
//! | [`heads`] | the header fields that answers have in common |
//! | `fields` | header fields that are lists |
//! | `substitute` | the pages that browsers get in place of errors |
//! | `security_headers` | the headers that make browsers refuse what a page does not need |

mod conditional;
mod fields;
pub mod guard;
pub mod handlers;
pub mod heads;
pub mod measure;
mod negotiation;
pub mod problems;
pub mod respond;
mod routes;
pub(crate) mod security_headers;
mod stream;
mod substitute;
