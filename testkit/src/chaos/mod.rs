//! Chaos: real processes, random troubles from a seed, and a model that everything is held
//! against.
pub mod model;
mod promise;
mod random;
pub mod schedule;
pub mod share;

/// How many pollers there are, of which one syncs.
pub const POLLERS: usize = 2;

/// How many readers there are.
pub const READERS: usize = 3;
