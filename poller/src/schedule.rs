//! When to sync: a cron schedule, used as nothing but a trigger.
//!
//! The scheduler's job puts a token into a channel that holds one. Whoever owns the other end
//! does the work, so that a long sync swallows triggers instead of overlapping with the next.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SubsecRound, Utc};
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

impl Schedule {
    /// The first trigger after a moment.
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Without this, fractions of a second of the moment would be kept in the answer.
        self.cron
            .find_next_occurrence(&moment.trunc_subsecs(0), false)
            .ok()
    }

    /// Starts triggering. Keep the scheduler as long as triggers are wanted.
    ///
    /// # Errors
    /// When the scheduler does not start.
    pub async fn start(&self) -> Result<(JobScheduler, mpsc::Receiver<()>), JobSchedulerError> {
        let (sender, triggers) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let job = Job::new(self.text.as_str(), move |_, _| {
            // Full means that a sync is due already; one is enough.
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
        match parser.parse(text) {
            Ok(cron) => Ok(Self {
                text: text.to_owned(),
                cron,
            }),
            Err(error) => Err(format!(
                "{error}: expected six fields (second minute hour day month weekday) such as \
                 `0 * * * * *`, every minute"
            )),
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
    use super::*;

    #[test]
    fn the_default_is_every_minute() {
        let moment: DateTime<Utc> = "2026-11-23T20:59:31.75Z".parse().unwrap();
        let next = Schedule::default().next_after(moment).unwrap();
        assert_eq!(next.to_rfc3339(), "2026-11-23T21:00:00+00:00");
    }

    #[test]
    fn five_fields_are_refused_with_an_example() {
        let error = "* * * * *".parse::<Schedule>().unwrap_err();
        assert!(error.contains("such as `0 * * * * *`"), "{error}");
    }
}
