//! When to log a state that lasts: when it begins, at intervals while it lasts, and when it ends.
//!
//! Pure; the caller passes the time and writes the line.

use chrono::{DateTime, TimeDelta, Utc};

/// What to log about a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has begun.
    Begins,
    /// It has not ended, and the last line about it is an interval old.
    Lasts,
    /// It has ended.
    Ends,
}

/// A state that may last.
#[derive(Clone, Copy, Debug)]
pub struct Lasting {
    interval: TimeDelta,
    /// Since when, and when the last line was logged.
    begun: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Default for Lasting {
    fn default() -> Self {
        Self::HOURLY
    }
}

impl Lasting {
    /// A state that is repeated each hour.
    pub const HOURLY: Self = Self::every(TimeDelta::hours(1));

    /// A state that is repeated each day.
    pub const DAILY: Self = Self::every(TimeDelta::days(1));

    const fn every(interval: TimeDelta) -> Self {
        Self {
            interval,
            begun: None,
        }
    }

    /// Notes whether the state is there; `since` counts when it begins. Returns what to log, and
    /// since when the state is or was there.
    pub fn note(
        &mut self,
        is_there: bool,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<(Turn, DateTime<Utc>)> {
        let turn = match self.begun {
            None if is_there => (Turn::Begins, since),
            // A clock that was set back must not silence it.
            Some((since, logged)) if is_there && (now - logged).abs() >= self.interval => {
                (Turn::Lasts, since)
            }
            Some((since, _)) if !is_there => (Turn::Ends, since),
            _ => return None,
        };
        self.begun = is_there.then_some((turn.1, now));
        Some(turn)
    }

    /// Whether the state is there.
    pub const fn is_there(&self) -> bool {
        self.begun.is_some()
    }
}

/// A moment in a message: the time of today, or the date too.
pub fn clock(moment: DateTime<Utc>) -> String {
    let is_recent = (Utc::now() - moment).abs() < TimeDelta::hours(12);
    let format = if is_recent { "%H:%M:%S" } else { "%F %H:%M:%S" };
    moment.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_logged_when_it_begins_each_hour_and_when_it_ends() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let mut state = Lasting::HOURLY;
        let mut note = |is_there, minute| {
            let turn = state.note(is_there, at(minute), at(minute));
            turn.map(|(turn, since)| (turn, (since - at(0)).num_minutes()))
        };
        assert_eq!(note(false, 0), None);
        assert_eq!(note(true, 1), Some((Turn::Begins, 1)));
        assert_eq!(note(true, 60), None);
        assert_eq!(note(true, 61), Some((Turn::Lasts, 1)));
        assert_eq!(note(true, 120), None);
        assert_eq!(note(true, 121), Some((Turn::Lasts, 1)));
        // The clock is set back.
        assert_eq!(note(true, -9), Some((Turn::Lasts, 1)));
        assert_eq!(note(false, 0), Some((Turn::Ends, 1)));
        assert_eq!(note(false, 200), None);
    }
}
