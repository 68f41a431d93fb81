//! `/metrics` of both programs, and what Prometheus makes of it: the documented metrics, the alerts,
//! the dashboard, and what each fault looks like.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod alerts;
mod dashboard;
mod exposed;
mod faults;
mod prometheus;

use testkit::process::installed;
use testkit::skip;

/// What operators copy.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// Whether this machine has a program; says so, if not.
fn has(program: &str) -> bool {
    let found = installed(program).next().is_some();
    if !found {
        skip("metrics", &format!("{program} is missing"));
    }
    found
}
