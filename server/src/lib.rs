//! The reader: answers from memory what the poller put into the cache.

pub mod query;
