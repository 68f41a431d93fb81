//! HTTP as this server speaks it.
//!
//! | module | owns |
//! |---|---|
//! | [`routes`] | paths, as a warp filter, and the guard before it |
//! | `handlers` | the answer for each kind of path |
//! | [`respond`] | one answer: conditional requests, content coding, headers |
//! | `security_headers` | the headers that make browsers refuse what a page does not need |

pub(crate) mod handlers;
pub mod respond;
pub mod routes;
pub(crate) mod security_headers;
