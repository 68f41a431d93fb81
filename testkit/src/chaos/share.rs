//! Whether the upstream gets the requests of one poller, not of two.
//!
//! Pure. One poller asks for each of the five collections once in a cycle, and retries only while
//! the upstream fails. A poller that starts, wakes up or reaches the cache again may do one cycle
//! out of turn.

use std::collections::VecDeque;
use std::time::Duration;

/// Requests of one cycle in which nothing fails.
const CYCLE_REQUESTS: u64 = 5;

/// Tries of one request in a cycle when the upstream fails.
const TRIES: u64 = 3;

/// The window for the sum of requests, with one cycle a second. Two pollers would send twice as
/// many in it as one.
const WINDOW: Duration = Duration::from_secs(10);

/// How long late requests may still arrive after a fault's end or a poller's start.
const ECHO: Duration = Duration::from_secs(3);

/// Requests over time.
#[derive(Debug, Default)]
pub(super) struct Share {
    samples: VecDeque<(Duration, u64)>,
    out_of_turn: VecDeque<Duration>,
    is_faulty: bool,
    last_fault: Option<Duration>,
}

impl Share {
    /// The upstream begins or ceases to fail.
    pub(super) fn fault(&mut self, begins: bool, now: Duration) {
        self.is_faulty = begins;
        self.last_fault = Some(now);
    }

    /// Whether the upstream fails, or has failed a short time ago.
    pub(super) fn is_faulty_since(&self, since: Duration) -> bool {
        self.is_faulty || self.last_fault.is_some_and(|at| at + ECHO >= since)
    }

    /// After this event, a poller may do one extra cycle.
    pub(super) fn out_of_turn(&mut self, now: Duration) {
        self.out_of_turn.push_back(now);
    }

    /// The upstream has received this many requests since the start. Returns what is wrong with
    /// that.
    pub(super) fn sample(&mut self, now: Duration, requests: u64) -> Option<String> {
        self.samples.push_back((now, requests));
        // Keeps the last sample from before the window, as the start of the count.
        while matches!(self.samples.get(1), Some((at, _)) if *at + WINDOW <= now) {
            self.samples.pop_front();
        }
        let (since, before) = *self.samples.front()?;
        self.out_of_turn.retain(|at| *at + ECHO >= since);
        let tries = if self.is_faulty_since(since) {
            TRIES
        } else {
            1
        };
        let time = now.saturating_sub(since);
        let turns = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let cycles = turns + 1 + self.out_of_turn.len() as u64;
        let (asked, allowed) = (requests - before, CYCLE_REQUESTS * tries * cycles);
        (asked > allowed)
            .then(|| format!("{asked} requests in {time:?}, at most {allowed} expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_poller_is_fine_and_two_are_not_whether_the_upstream_fails_or_not() {
        for (is_faulty, per_second, is_wrong) in [
            (false, 5, false),
            (false, 10, true),
            (true, 15, false),
            (true, 30, true),
        ] {
            let mut share = Share::default();
            share.fault(is_faulty, Duration::ZERO);
            let found = (0..600).any(|tenth| {
                let now = Duration::from_millis(100 * tenth);
                share.sample(now, tenth / 10 * per_second).is_some()
            });
            assert_eq!(found, is_wrong, "{is_faulty} {per_second}");
        }
    }

    #[test]
    fn a_start_explains_one_cycle_and_not_many() {
        for (requests, is_wrong) in [(5 * 7, false), (5 * 7 + 1, true)] {
            let mut share = Share::default();
            share.out_of_turn(Duration::from_millis(4_900));
            share.sample(Duration::ZERO, 0);
            let wrong = share.sample(Duration::from_secs(5), requests);
            assert_eq!(wrong.is_some(), is_wrong);
        }
    }
}
