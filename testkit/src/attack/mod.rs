//! Attacks on a server, and what they cost the server.
//!
//! | part | owns |
//! |---|---|
//! | [`list`] | the attacks, each in a few lines |
//! | [`force`] | what carries out an attack: one thread with many connections |
//! | [`queries`] | the most expensive queries that the server allows |
//! | [`usage`] | what a process uses: sockets, memory, processor, unsent bytes |
//! | [`steady`] | a well-behaved client, and how long its answers take |
//! | [`measure`] | one attack on a new server, as a row of a table |
//!
//! An attacker here is one thread on the server's own machine. It has no privileges: it opens
//! sockets and writes any bytes, but forges no packets.

pub mod force;
pub mod list;
pub mod measure;
pub mod queries;
pub mod steady;
pub mod usage;

pub use force::{AttackCounts, Force};
pub use list::Attack;

/// Raises the number of files that this process and its children may open to the allowed maximum,
/// and returns that number. Sockets are files.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // When the system refuses, the limit stays as it was.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
