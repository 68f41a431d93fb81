//! What must hold for any input, however hostile or damaged.
//!
//! | module | input | what must hold |
//! |---|---|---|
//! | [`query`] | a query string | a plan or a refusal; its records exist, each once |
//! | [`filter`] | the head of an HTTP request | a consistent answer below 500 |
//! | [`answer`] | cycles of upstream bodies | nothing is lost, reordered, altered or announced twice |
//! | [`snapshot`] | a stored snapshot or status | refused with a reason, or kept as it is and rendered |
//!
//! Each `check` panics when its rule does not hold. The inputs are text, so people can read a
//! failing one. `cargo xtask fuzz` searches for failing inputs. `corpus` holds those found so far,
//! and the shortest inputs that reach all code ever reached. The ordinary tests
//! (`testkit/tests/corpora.rs`) include this same file, and check them.

pub mod answer;
pub mod filter;
pub mod query;
pub mod snapshot;
