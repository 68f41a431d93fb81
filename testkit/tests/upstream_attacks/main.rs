//! A hostile upstream and a hostile network, against real processes: they contact no other host,
//! trust no stranger, and do not run out of memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod exhaustion;
mod origin;
mod strangers;

use testkit::process::{Poller, RunningPoller};

/// A poller that syncs every second.
async fn polling(upstream: &str, cache: &str) -> RunningPoller {
    Poller::new(upstream, cache)
        .schedule("* * * * * *")
        .start()
        .await
}

/// The reason in the next sync's log line; that sync confirmed nothing.
async fn reason(poller: &RunningPoller) -> String {
    let line = poller.next_sync().await;
    assert_eq!(line["outcome"], "failed", "{line}");
    line["reason"].as_str().unwrap().to_owned()
}

/// The expected text when every collection has the same reason.
fn for_all(reason: &str) -> String {
    format!("films, people, locations, species, vehicles: {reason}")
}
