//! Private Redis servers with their own ports and directories. Tests kill and restart them.
//!
//! | part | is |
//! |---|---|
//! | [`Redis`] | one server |
//! | [`Failover`] | a master, its replicas, and the sentinels that replace it when it dies |
//! | [`Cluster`] | three nodes that share the keys |
//! | [`Certificates`] | what a server with TLS needs, and the authority that its clients must trust
//! |
//!
//! Writes nothing to disk unless a test asks for it, and never touches another Redis on the
//! machine.

mod certificates;
mod cluster;
mod failover;
mod server;

pub use certificates::Certificates;
pub use cluster::Cluster;
pub use failover::Failover;
pub use server::Redis;
