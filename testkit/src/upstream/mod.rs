//! A stand-in Ghibli API on 127.0.0.1: the same answers, plus edits, faults and counts.
//!
//! | request | answer |
//! |---|---|
//! | `/films`, `/films/`, `/Films` | the collection, JSON indented by two spaces |
//! | `/films/{id}` | the record; ids are case-sensitive |
//! | `/db` | the whole catalogue |
//! | anything else | 404 `{}` |
//!
//! It sends weak validators in Express's form, 304 on `If-None-Match`, and gzip above 1 KB to
//! clients that accept it. It ignores query parameters. It has its own thread and runtime, so a
//! busy or blocked test does not slow it down, and dropping it surely closes every socket.
//!
//! It never connects to the real API.

mod answer;
mod body;
mod fault;
mod journal;
mod listen;
mod misbehave;
mod spoilt;
mod stand_in;
mod state;
mod target;

pub use fault::Fault;
pub use journal::{RecordedRequest, RequestCounts};
pub use stand_in::Upstream;
