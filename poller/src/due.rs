//! When the next sync is due, by two clocks that can disagree (one was set, or the machine slept).
//!
//! The schedule uses the wall clock, which people and NTP set forward and back. The steady clock
//! never jumps, but stops while the machine sleeps. So a sync is due when the wall clock reaches
//! its trigger, or when the planned wait has passed on the steady clock. After a sleep or a step
//! forward the wall clock is first; after a step back the steady clock is first. The time for which
//! the upstream is left alone is measured by the steady clock only.
//!
//! Pure; the caller passes the time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::backoff::Attempt;

/// How late a trigger may be by the steady clock before the daemon syncs without it. The scheduler
/// can stop for ever after its process was suspended, and after a step back it waits for the old
/// time. The value exceeds the drift between the two clocks, or a sync would run twice.
const OVERDUE: Duration = Duration::from_secs(2);

/// The longest sleep before checking the clocks again; timers have a limit of two years.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The clock that people and NTP set.
    pub wall: DateTime<Utc>,
    /// The clock that only goes forward.
    pub steady: Instant,
}

impl Moment {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self {
            wall: Utc::now(),
            steady: Instant::now(),
        }
    }
}

/// When the next sync is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// The schedule's trigger.
    at: DateTime<Utc>,
    /// The same moment on the steady clock, as expected when it was planned.
    foreseen: Instant,
    /// The upstream is left alone until then.
    quiet_until: Instant,
}

impl Due {
    /// Due now.
    pub const fn at_once(now: Moment) -> Self {
        Self {
            at: now.wall,
            foreseen: now.steady,
            quiet_until: now.steady,
        }
    }

    /// The trigger.
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Due at the schedule's next trigger. Does not change how long the upstream is left alone.
    pub fn plan(&mut self, now: Moment, at: DateTime<Utc>) {
        self.at = at;
        self.foreseen = now.steady + (at - now.wall).to_std().unwrap_or_default();
    }

    /// Due as `attempt` says, after the upstream was asked.
    pub fn attempt(&mut self, now: Moment, attempt: Attempt) {
        self.plan(now, attempt.at);
        self.quiet_until = now.steady + attempt.wait;
    }

    /// Whether the sync is due now.
    pub fn has_come(&self, now: Moment) -> bool {
        let is_time = now.wall >= self.at || now.steady >= self.foreseen + OVERDUE;
        is_time && self.may_ask(now)
    }

    /// Whether the poller may ask the upstream now.
    pub fn may_ask(&self, now: Moment) -> bool {
        now.steady >= self.quiet_until
    }

    /// When to sync without a trigger, or at least to check the clocks again.
    pub fn overdue(&self, now: Moment) -> Instant {
        let latest = self.not_before_quiet(self.foreseen + OVERDUE);
        latest.min(now.steady + LONGEST_SLEEP)
    }

    /// The later of `moment` and the end of the time in which the upstream is left alone.
    pub fn not_before_quiet(&self, moment: Instant) -> Instant {
        moment.max(self.quiet_until)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::backoff::Backoff;
    use crate::schedule::Schedule;

    const HOUR: i64 = 3600;

    /// The clocks of a machine that can sleep, and whose wall clock can be set.
    struct Clocks {
        now: Moment,
    }

    impl Clocks {
        fn at(text: &str) -> Self {
            Self {
                now: Moment {
                    wall: text.parse().unwrap(),
                    steady: Instant::now(),
                },
            }
        }

        fn pass(&mut self, seconds: u64) {
            self.now.steady += Duration::from_secs(seconds);
            self.step(i64::try_from(seconds).unwrap());
        }

        /// Sets the wall clock. Sleep has the same effect: only the wall clock goes on.
        fn step(&mut self, seconds: i64) {
            self.now.wall += TimeDelta::seconds(seconds);
        }

        fn due(&self, schedule: &str) -> Due {
            let schedule: Schedule = schedule.parse().unwrap();
            let mut due = Due::at_once(self.now);
            assert!(due.has_come(self.now));
            due.plan(self.now, schedule.next_after(self.now.wall));
            due
        }
    }

    #[test]
    fn a_trigger_is_heeded_at_its_time_and_not_before() {
        let mut clocks = Clocks::at("2026-11-23T20:00:00Z");
        let due = clocks.due("0 0 * * * *");
        clocks.pass(3599);
        assert!(!due.has_come(clocks.now));
        clocks.pass(1);
        assert!(due.has_come(clocks.now));
    }

    #[test]
    fn after_a_sleep_or_a_step_forward_the_trigger_that_is_then_right_is_heeded() {
        let mut clocks = Clocks::at("2026-11-23T20:00:00Z");
        let due = clocks.due("0 0 3 * * *");
        clocks.pass(60);
        // The laptop sleeps until a quarter past three.
        clocks.step(7 * HOUR + 14 * 60);
        assert!(due.has_come(clocks.now));
        // Or until shortly before three: the sync comes at three o'clock, not seven hours later.
        clocks.step(-1200);
        assert!(!due.has_come(clocks.now));
        clocks.pass(300);
        assert!(due.has_come(clocks.now));
    }

    #[test]
    fn after_a_step_back_the_wait_is_no_longer_than_foreseen() {
        let mut clocks = Clocks::at("2026-11-23T20:00:30Z");
        let due = clocks.due("0 * * * * *");
        clocks.step(-300 * 24 * HOUR);
        assert!(!due.has_come(clocks.now));
        clocks.pass(30);
        assert_eq!(due.overdue(clocks.now), clocks.now.steady + OVERDUE);
        clocks.pass(2);
        assert!(due.has_come(clocks.now));
    }

    #[test]
    fn an_upstream_is_left_alone_however_clocks_are_set_and_whatever_else_fails() {
        let schedule = Schedule::default();
        let mut clocks = Clocks::at("2026-11-23T20:00:00Z");
        let mut due = Due::at_once(clocks.now);
        let asked_for = Some(Duration::from_mins(10));
        let attempt = Backoff::default().next_attempt(&schedule, clocks.now.wall, true, asked_for);
        due.attempt(clocks.now, attempt);
        for step in [2 * HOUR, -5 * HOUR, 20 * HOUR] {
            clocks.step(step);
            clocks.pass(60);
            assert!(
                !due.has_come(clocks.now) && !due.may_ask(clocks.now),
                "{step}"
            );
            // A sync that failed before it reached the upstream.
            due.plan(clocks.now, schedule.next_after(clocks.now.wall));
        }
        assert!(due.overdue(clocks.now) > clocks.now.steady + Duration::from_secs(400));
        clocks.pass(420);
        assert!(due.has_come(clocks.now));
    }

    #[test]
    fn a_wait_of_years_is_slept_day_by_day() {
        let clocks = Clocks::at("2026-11-23T20:00:00Z");
        let due = clocks.due("0 0 0 29 2 MON#5");
        assert_eq!(due.overdue(clocks.now), clocks.now.steady + LONGEST_SLEEP);
    }

    proptest! {
        /// Whatever the wall clock does, a sync comes no later than planned, and as soon as the
        /// wall clock passes the trigger. An upstream that asks to be left alone is left alone.
        #[test]
        fn never_too_late_and_never_too_early(
            steps in proptest::collection::vec((1_u64..120, -100_000_i64..100_000), 1..60),
            asked_for in 0_u64..1000,
        ) {
            let schedule: Schedule = "0 */10 * * * *".parse().unwrap();
            let mut clocks = Clocks::at("2026-11-23T20:00:00Z");
            let (start, mut due) = (clocks.now, Due::at_once(clocks.now));
            let attempt = Backoff::default().next_attempt(
                &schedule,
                start.wall,
                true,
                Some(Duration::from_secs(asked_for)),
            );
            due.attempt(start, attempt);
            let foreseen = (attempt.at - start.wall).to_std().unwrap();
            for (seconds, step) in steps {
                clocks.step(step);
                clocks.pass(seconds);
                let passed = clocks.now.steady - start.steady;
                let expected = passed >= attempt.wait && (passed >= foreseen + OVERDUE || clocks.now.wall >= attempt.at);
                prop_assert_eq!(due.has_come(clocks.now), expected);
                prop_assert!(due.overdue(clocks.now) <= start.steady + foreseen + OVERDUE);
            }
        }
    }
}
