//! Sets `GHIBLI_VERSION` for the program: its version and commit.

include!("../shared/build/commit.rs");
