//! A hostile upstream, and a hostile network before it, against real processes: nothing is asked of
//! anybody else, nothing is believed of a stranger, and nothing exhausts the memory.
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

/// How the next sync says that nothing was confirmed.
async fn reason(poller: &RunningPoller) -> String {
    let line = poller.next_sync().await;
    assert_eq!(line["outcome"], "failed", "{line}");
    line["reason"].as_str().unwrap().to_owned()
}

/// The reason when it is the same for every collection.
fn for_all(reason: &str) -> String {
    format!("films, people, locations, species, vehicles: {reason}")
}
