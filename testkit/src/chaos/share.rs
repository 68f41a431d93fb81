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

/// The time between two cycles.
const CYCLE: Duration = Duration::from_secs(1);

/// The window for the sum of requests. Two pollers would send twice as many in it as one.
const WINDOW: Duration = Duration::from_secs(10);

/// How long late requests may still arrive after a fault's end or a poller's start.
const ECHO: Duration = Duration::from_secs(3);

/// Requests over time.
#[derive(Debug, Default)]
pub struct Share {
    samples: VecDeque<(Duration, u64)>,
    out_of_turn: VecDeque<Duration>,
    faults: usize,
    last_fault: Option<Duration>,
}

impl Share {
    /// The upstream begins to fail.
    pub fn fault_begins(&mut self) {
        self.faults += 1;
    }

    /// The upstream ceases to fail.
    pub fn fault_ends(&mut self, now: Duration) {
        self.faults -= 1;
        self.last_fault = Some(now);
    }

    /// After this event, a poller may do one extra cycle.
    pub fn out_of_turn(&mut self, now: Duration) {
        self.out_of_turn.push_back(now);
    }

    /// The upstream has received this many requests since the start. Returns what is wrong with
    /// that.
    pub fn sample(&mut self, now: Duration, requests: u64) -> Option<String> {
        if self.faults > 0 {
            self.last_fault = Some(now);
        }
        self.samples.push_back((now, requests));
        // Keeps the last sample from before the window, as the start of the count.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| *at + WINDOW <= now)
        {
            self.samples.pop_front();
        }
        let (since, before) = *self.samples.front()?;
        let is_recent = |at: &Duration| *at + ECHO >= since;
        self.out_of_turn.retain(is_recent);
        let tries = if self.last_fault.as_ref().is_some_and(is_recent) {
            TRIES
        } else {
            1
        };
        let time = now.saturating_sub(since);
        let turns = u64::try_from(time.as_millis().div_ceil(CYCLE.as_millis())).unwrap_or(u64::MAX);
        let cycles = turns + 1 + self.out_of_turn.len() as u64;
        let (asked, allowed) = (requests - before, CYCLE_REQUESTS * tries * cycles);
        (asked > allowed)
            .then(|| format!("{asked} requests in {time:?}, at most {allowed} expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute with this many requests a second. Returns what was wrong.
    fn minute(share: &mut Share, per_second: u64) -> Option<String> {
        (0..600u64).find_map(|tenth| {
            share.sample(Duration::from_millis(100 * tenth), tenth / 10 * per_second)
        })
    }

    #[test]
    fn one_poller_is_fine_and_two_are_not() {
        assert_eq!(minute(&mut Share::default(), 5), None);
        assert!(minute(&mut Share::default(), 10).is_some());
    }

    #[test]
    fn retries_are_fine_while_the_upstream_fails_and_not_when_it_does_not() {
        let mut share = Share::default();
        share.fault_begins();
        assert_eq!(minute(&mut share, 15), None);
        share.fault_ends(Duration::from_mins(1));
        let found = (600..900u64)
            .find_map(|tenth| share.sample(Duration::from_millis(100 * tenth), tenth / 10 * 15));
        assert!(found.is_some());

        let mut share = Share::default();
        share.fault_begins();
        assert!(
            minute(&mut share, 30).is_some(),
            "two pollers are too many even then"
        );
    }

    #[test]
    fn a_start_explains_one_cycle_and_not_many() {
        let burst = |requests| {
            let mut share = Share::default();
            share.out_of_turn(Duration::from_millis(4_900));
            share.sample(Duration::ZERO, 0);
            share.sample(Duration::from_secs(5), requests)
        };
        assert_eq!(burst(5 * 7), None);
        assert!(burst(5 * 7 + 1).is_some());
    }
}
