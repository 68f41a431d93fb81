//! What `cargo xtask bench` runs beside the servers that it compares; never shipped. A crate of its
//! own, because it must be optimised and everything else of the test equipment need not be.
//!
//! | part | owns |
//! |---|---|
//! | [`floor`] | a server that does nothing but answer: what the kernel alone costs |
//! | [`rate`] | requests at a fixed rate, and how long their answers take |
//! | [`answer`] | where an answer on a connection ends |
//! | [`spent`] | what the processes of a group have used |
//!
//! The programs `bench-floor` and `bench-rate` are the first two.

pub mod answer;
pub mod floor;
pub mod rate;
pub mod spent;

/// How many connections carry the load, unless a case needs another number.
pub const CONNECTIONS: usize = 32;
