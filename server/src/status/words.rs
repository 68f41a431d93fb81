//! Times and lists, in words.

use chrono::{DateTime, TimeDelta, Utc};

/// A moment as people read it.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `12 seconds ago`. A moment that another machine's clock puts into the future is `just now`.
pub(super) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - at;
    if passed < TimeDelta::seconds(1) {
        "just now".into()
    } else {
        format!("{} ago", length(passed))
    }
}

/// `2026-11-26 16:00:00 UTC (12 seconds ago)`.
pub(super) fn dated(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ({})", moment(at), ago(at, now))
}

/// When the next attempt is, as the end of a sentence: `in 12 seconds`.
pub(super) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let left = at - now;
    if left < TimeDelta::seconds(1) {
        "now".into()
    } else {
        format!("in {}", length(left))
    }
}

/// In the largest unit of which there is more than one, so that the error is small.
fn length(time: TimeDelta) -> String {
    let seconds = time.num_seconds();
    let (count, unit) = match seconds {
        ..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(usize::try_from(count).unwrap_or_default(), unit)
}

/// `1 record`, `2 records`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// `films`, `films and people`, `films, people and species`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_the_unit_that_people_would_use() {
        let now = Utc::now();
        for (seconds, words) in [
            (-5, "just now"),
            (0, "just now"),
            (1, "1 second ago"),
            (119, "119 seconds ago"),
            (120, "2 minutes ago"),
            (7_199, "119 minutes ago"),
            (7_200, "2 hours ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(now - TimeDelta::seconds(seconds), now), words);
        }
        assert_eq!(until(now + TimeDelta::seconds(48), now), "in 48 seconds");
        assert_eq!(until(now - TimeDelta::seconds(48), now), "now");
    }

    #[test]
    fn lists_read_as_in_a_sentence() {
        assert_eq!(list(&["films"]), "films");
        assert_eq!(list(&["films", "people"]), "films and people");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
