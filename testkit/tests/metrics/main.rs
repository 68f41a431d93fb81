//! `/metrics` of both programs, and what Prometheus makes of it: the documented metrics, the alerts,
//! the dashboard.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod exposed;
