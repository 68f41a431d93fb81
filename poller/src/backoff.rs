//! How long to leave the upstream alone (sync rule 14). The wait grows with each cycle without any
//! answer, is at least as long as the upstream asks for, and always ends.
//!
//! Pure; the caller passes the time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::schedule::Schedule;

/// The longest wait that failures alone cause.
const MOST: Duration = Duration::from_mins(5);

/// The longest `Retry-After` that the poller obeys; a year, for example, must be a mistake.
const MOST_ASKED_FOR: Duration = Duration::from_hours(1);

/// What the last cycles show about the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    silent_cycles: u32,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The schedule's first trigger at the end of the wait.
    pub at: DateTime<Utc>,
    /// How long to leave the upstream alone, whatever the wall clock says.
    pub wait: Duration,
}

impl Backoff {
    /// Notes the result of a cycle: whether anything answered, and how long the upstream asked to
    /// be left alone. Returns when the next cycle is due: by the schedule, but not before the wait
    /// is over.
    pub fn next_attempt(
        &mut self,
        schedule: &Schedule,
        now: DateTime<Utc>,
        answered: bool,
        asked_for: Option<Duration>,
    ) -> Attempt {
        self.silent_cycles = if answered {
            0
        } else {
            self.silent_cycles.saturating_add(1)
        };
        let next = schedule.next_after(now);
        let own = self.backoff(schedule, next).min(MOST);
        let wait = own.max(asked_for.unwrap_or_default().min(MOST_ASKED_FOR));
        // One second early, so as not to miss a trigger at the very end of the wait.
        let wait = wait.saturating_sub(Duration::from_secs(1));
        let at = if wait.is_zero() {
            next
        } else {
            schedule.next_after(now + wait)
        };
        Attempt { at, wait }
    }

    /// Starts at the schedule's interval; doubles with each silent cycle after the first.
    fn backoff(self, schedule: &Schedule, next: DateTime<Utc>) -> Duration {
        let Some(doublings) = self.silent_cycles.checked_sub(1) else {
            return Duration::ZERO;
        };
        let interval = (schedule.next_after(next) - next).to_std();
        interval
            .unwrap_or(MOST)
            .saturating_mul(2_u32.saturating_pow(doublings))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    /// The waits, in seconds, between cycles with the given results.
    fn waits(cycles: &[(bool, Option<u64>)]) -> Vec<i64> {
        let (schedule, mut backoff, mut now) = (Schedule::default(), Backoff::default(), at(0));
        let wait = |&(answered, asked_for): &(bool, Option<u64>)| {
            let asked_for = asked_for.map(Duration::from_secs);
            let next = backoff.next_attempt(&schedule, now, answered, asked_for);
            assert!(now + next.wait <= next.at, "{next:?}");
            let wait = (next.at - now).num_seconds();
            now = next.at;
            wait
        };
        cycles.iter().map(wait).collect()
    }

    #[test]
    fn rule_14_silence_doubles_the_wait_up_to_five_minutes_and_an_answer_restores_the_minute() {
        let silent = [(false, None); 6];
        assert_eq!(waits(&silent), [60, 120, 240, 300, 300, 300]);
        let cycles = [&silent[..], &[(true, None), (false, None)]].concat();
        assert_eq!(waits(&cycles)[6..], [60, 60]);
    }

    #[test]
    fn rule_14_retry_after_is_honoured_within_reason() {
        assert_eq!(
            waits(&[(true, Some(1)), (true, Some(600)), (true, None)]),
            [60, 600, 60]
        );
        assert_eq!(waits(&[(false, Some(31_536_000))]), [3600]);
    }

    proptest! {
        #[test]
        fn rule_14_it_never_gives_up(answers in proptest::collection::vec(any::<bool>(), 0..80)) {
            let cycles: Vec<_> = answers.into_iter().map(|answered| (answered, None)).collect();
            for wait in waits(&cycles) {
                prop_assert!((1..=360).contains(&wait), "{wait}");
            }
        }
    }
}
