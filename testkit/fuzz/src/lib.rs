//! What must hold for any input, however hostile or damaged.
//!
//! | module | input | what must hold |
//! |---|---|---|
//! | [`query`] | a query string | a plan or a refusal; it selects records that exist, each once |
//! | [`filter`] | the head of an HTTP request | an answer below 500 that agrees with itself |
//! | [`answer`] | cycles of upstream bodies | nothing is lost, reordered, altered or announced twice |
//! | [`snapshot`] | a stored snapshot or status | refused with a reason, or kept as it is and rendered |
//!
//! Each `check` panics when it does not hold. The inputs are text, so that a failing one can be
//! read. `cargo xtask fuzz` looks for failing ones; those once found, and the shortest that reach
//! everything that was ever reached, lie in `corpus` and are checked by the ordinary tests
//! (`testkit/tests/corpora.rs`), which include this very file.

pub mod answer;
pub mod filter;
pub mod query;
pub mod snapshot;
