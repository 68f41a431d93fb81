//! When to sync: a cron schedule, used only as a trigger.
//!
//! The scheduler's job puts a token into a channel that holds one. The receiver does the work, so a
//! long sync drops triggers instead of overlapping with the next sync.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// A cron expression of six fields, seconds first, in UTC.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// The longest schedule text, in bytes: enough for lists of every second and minute.
const MAX_BYTES: usize = 1000;

/// How long to wait when there is no next trigger; a wrong clock may show the calendar's end.
const WITHOUT_CALENDAR: TimeDelta = TimeDelta::minutes(5);

impl Schedule {
    /// The first trigger after a moment. There always is one; without it a caller might not wait.
    pub fn next_after(&self, moment: DateTime<Utc>) -> DateTime<Utc> {
        self.found_after(moment)
            .or_else(|| moment.checked_add_signed(WITHOUT_CALENDAR))
            .unwrap_or(moment)
    }

    /// The search ends at the year 5000.
    fn found_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Without this, the answer would keep the moment's fractions of a second.
        self.cron
            .find_next_occurrence(&moment.trunc_subsecs(0), false)
            .ok()
    }

    /// Starts triggering. Keep the scheduler for as long as you want triggers.
    ///
    /// # Errors
    /// When the scheduler does not start.
    pub async fn start(&self) -> Result<(JobScheduler, mpsc::Receiver<()>), JobSchedulerError> {
        let (sender, triggers) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let job = Job::new(self.text.as_str(), move |_, _| {
            // A full channel means that a sync is already due; one is enough.
            let _ = sender.try_send(());
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok((scheduler, triggers))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        "0 * * * * *".parse().expect("a schedule")
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Disallowed)
            .build();
        let expected = "expected six fields (second minute hour day month weekday) such as \
                        `0 * * * * *`, every minute";
        if text.len() > MAX_BYTES {
            return Err(format!("longer than {MAX_BYTES} bytes: {expected}"));
        }
        let cron = parser
            .parse(text)
            .map_err(|error| format!("{error}: {expected}"))?;
        let schedule = Self {
            text: text.to_owned(),
            cron,
        };
        // The calendar repeats every 400 years, so the last ones are enough to check.
        let last_cycle = NaiveDate::from_ymd_opt(4600, 1, 1).expect("a day");
        match schedule.found_after(last_cycle.and_time(NaiveTime::MIN).and_utc()) {
            Some(_) => Ok(schedule),
            None => Err(format!("there is no such day: {expected}")),
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(schedule: &str, moment: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        schedule.next_after(moment.parse().unwrap()).to_rfc3339()
    }

    #[test]
    fn the_default_is_every_minute() {
        let next = next("0 * * * * *", "2026-11-23T20:59:31.75Z");
        assert_eq!(next, "2026-11-23T21:00:00+00:00");
        assert_eq!(Schedule::default().to_string(), "0 * * * * *");
    }

    #[test]
    fn five_fields_are_refused_with_an_example() {
        let error = "* * * * *".parse::<Schedule>().unwrap_err();
        assert!(error.contains("such as `0 * * * * *`"), "{error}");
    }

    #[test]
    fn a_schedule_that_never_comes_is_refused() {
        for never in [
            "0 0 0 30 2 *",
            "0 0 0 31 2,4,6,9,11 *",
            "0 0 0 30,31 FEB *",
            "0 0 0 30 2 ?",
        ] {
            let error = never.parse::<Schedule>().expect_err(never);
            assert!(error.starts_with("there is no such day"), "{error}");
            assert!(error.contains("such as `0 * * * * *`"), "{error}");
        }
        let error = "0,".repeat(1000).parse::<Schedule>().unwrap_err();
        assert!(error.starts_with("longer than"), "{error}");
    }

    #[test]
    fn a_schedule_that_comes_rarely_is_waited_for() {
        let (day, leap) = ("2026-11-23T20:59:31Z", "0 0 0 29 2 *");
        assert_eq!(next("0 0 0 1 1 *", day), "2027-01-01T00:00:00+00:00");
        assert_eq!(next(leap, day), "2028-02-29T00:00:00+00:00");
        // The year 2100 has no such day.
        assert_eq!(
            next(leap, "2099-01-01T00:00:00Z"),
            "2104-02-29T00:00:00+00:00"
        );
        // A February has a fifth Monday only four times in a century.
        assert_eq!(next("0 0 0 * 2 MON#5", day), "2044-02-29T00:00:00+00:00");
        // A day of the month and a day of the week: either matches, as in cron.
        assert_eq!(next("0 0 0 13 * FRI", day), "2026-11-27T00:00:00+00:00");
    }

    #[test]
    fn a_clock_that_is_far_off_has_a_next_time_too() {
        assert_eq!(
            next("0 * * * * *", "1969-07-20T20:17:40Z"),
            "1969-07-20T20:18:00+00:00"
        );
        let end = "4999-12-31T23:59:30Z";
        let (rare, minute): (Schedule, Schedule) =
            ("0 0 0 1 1 *".parse().unwrap(), Schedule::default());
        let end: DateTime<Utc> = end.parse().unwrap();
        for schedule in [&rare, &minute] {
            for moment in [end, end + TimeDelta::days(1000), DateTime::<Utc>::MIN_UTC] {
                let next = schedule.next_after(moment);
                assert!(next > moment, "{schedule} {moment} {next}");
            }
            assert_eq!(
                schedule.next_after(DateTime::<Utc>::MAX_UTC),
                DateTime::<Utc>::MAX_UTC
            );
        }
        assert_eq!(
            rare.next_after(end + TimeDelta::days(1)) - end,
            TimeDelta::minutes(5) + TimeDelta::days(1)
        );
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_comes(
            fields in proptest::collection::vec(0_u32..62, 6),
            stars in proptest::collection::vec(any::<bool>(), 6),
            moment in -4_000_000_000_i64..90_000_000_000,
        ) {
            let fields = fields.iter().zip(stars);
            let text: Vec<_> = fields
                .map(|(field, star)| if star { "*".into() } else { field.to_string() })
                .collect();
            let moment = DateTime::from_timestamp(moment, 0).unwrap();
            if let Ok(schedule) = text.join(" ").parse::<Schedule>() {
                let next = schedule.found_after(moment);
                prop_assert!(next.is_some_and(|next| next > moment), "{schedule} {next:?}");
            }
        }
    }
}
