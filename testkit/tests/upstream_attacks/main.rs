//! A hostile upstream, and a hostile network before it, against real processes: nothing is asked of
//! anybody else, nothing is believed of a stranger, and nothing exhausts the memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod exhaustion;
mod origin;
mod strangers;

use serde_json::Value;
use testkit::process::{Poller, RunningPoller};

/// A poller that syncs every second.
async fn polling(upstream: &str, cache: &str) -> RunningPoller {
    Poller::new(upstream, cache)
        .schedule("* * * * * *")
        .env("UPSTREAM_TIMEOUT", "5s")
        .start()
        .await
}

/// The reason that the next sync gives, from a mark on, which must be about the films.
async fn reason(poller: &RunningPoller, mark: testkit::process::Mark) -> String {
    let is_films = |line: &Value| {
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("films"))
    };
    let line = poller
        .process
        .wait_for_log_since(mark, "sync finished", is_films)
        .await;
    line["reason"].as_str().unwrap().to_owned()
}
