//! What lasts for more than one cycle: a degraded upstream, rejected answers, an unreachable cache.
//!
//! Logs when it begins and ends, and each hour in between. [`crate::cycle::log`] logs the cycles.

use chrono::{DateTime, TimeDelta, Utc};
use shared::catalogue::{Collection, PerCollection};
use shared::log;
use shared::service::telemetry::{Lasting, Turn, clock, events};

use crate::cycle::report::Report;
use crate::cycle::verdict::Verdict;

/// How long an upstream confirms nothing until the poller presumes that it is gone for good.
const DEAD_AFTER: TimeDelta = TimeDelta::days(3);

/// The troubles that last.
#[derive(Debug)]
pub struct Troubles {
    upstream: Lasting,
    dead: Lasting,
    rejected: Lasting,
    /// The collections whose answers are rejected, and since when.
    rejected_since: PerCollection<Option<DateTime<Utc>>>,
    backoff: bool,
    cache: Lasting,
    aborted: Lasting,
}

impl Default for Troubles {
    fn default() -> Self {
        Self {
            upstream: Lasting::HOURLY,
            dead: Lasting::DAILY,
            rejected: Lasting::HOURLY,
            rejected_since: PerCollection::default(),
            backoff: false,
            cache: Lasting::HOURLY,
            aborted: Lasting::HOURLY,
        }
    }
}

impl Troubles {
    /// Logs what the end of a cycle changes. `since` comes from the status, so that it outlives this
    /// process.
    pub fn after(&mut self, report: &Report, now: DateTime<Utc>) {
        self.cache(None, now);
        self.aborted(None, now);
        self.rejected(report, now);
        let reason = report.reason();
        let reason = reason.as_deref().unwrap_or_default();
        let confirmations = report.status.collections.iter();
        let confirmed = confirmations.filter_map(|(_, one)| one.confirmed_at).max();
        let is_dead = confirmed.is_some_and(|confirmed| now - confirmed >= DEAD_AFTER);
        self.dead(is_dead, confirmed.unwrap_or(now), reason, now);
        self.upstream(report, reason, now);
    }

    /// Logs that cycles cannot use the cache, or can again.
    pub fn cache(&mut self, reason: Option<&str>, now: DateTime<Utc>) {
        match (self.cache.note(reason.is_some(), now, now), reason) {
            (Some((Turn::Ends, since)), _) => {
                let duration_s = (now - since).num_seconds();
                log!(
                    events::CACHE_BACK,
                    since = since.to_rfc3339(),
                    duration_s,
                    "the cache can be used again, after {duration_s} s"
                );
            }
            (Some((_, since)), Some(reason)) => log!(
                events::CACHE_UNREACHABLE,
                reason,
                since = since.to_rfc3339(),
                "cannot use the cache since {}: {reason}",
                clock(since)
            ),
            _ => {}
        }
    }

    /// Logs that cycles do not end as they should.
    pub fn aborted(&mut self, reason: Option<&str>, now: DateTime<Utc>) {
        let turn = self.aborted.note(reason.is_some(), now, now);
        if let (Some((_, since)), Some(reason)) = (turn, reason) {
            let (since, at) = (since.to_rfc3339(), clock(since));
            log!(
                events::SYNC_ABORTED,
                reason,
                since,
                "syncs are aborted since {at}: {reason}"
            );
        }
    }

    /// Logs that the poller begins to wait longer than the schedule.
    pub fn backoff(&mut self, next: DateTime<Utc>, scheduled: DateTime<Utc>) {
        let is_longer = next > scheduled;
        if is_longer && !self.backoff {
            log!(
                events::BACKOFF,
                next_attempt_at = next.to_rfc3339(),
                scheduled_at = scheduled.to_rfc3339(),
                "backing off: the next sync is at {} instead of {}; one answer restores the schedule",
                clock(next),
                clock(scheduled)
            );
        }
        self.backoff = is_longer;
    }

    fn upstream(&mut self, report: &Report, reason: &str, now: DateTime<Utc>) {
        let mut verdicts = report.verdicts.iter();
        let is_silent = verdicts.any(|(_, one)| matches!(one, Verdict::Failed(_)));
        // Once degraded, only the confirmation of all collections ends it.
        let is_degraded = is_silent || self.upstream.is_there() && !report.outcome.is_success();
        let last = report.status.last_success_at;
        let since = last.unwrap_or(report.status.started_at);
        match self.upstream.note(is_degraded, since, now) {
            Some((Turn::Ends, since)) => {
                let duration_s = (now - since).num_seconds();
                log!(
                    events::UPSTREAM_RECOVERED,
                    since = since.to_rfc3339(),
                    duration_s,
                    "the upstream has recovered: everything is confirmed again, after {duration_s} s"
                );
            }
            Some((_, since)) if !self.dead.is_there() => log!(
                events::UPSTREAM_DEGRADED,
                reason,
                since = since.to_rfc3339(),
                "the upstream is degraded, the last data stays; not all is confirmed since {}: \
                 {reason}",
                clock(since)
            ),
            _ => {}
        }
    }

    fn dead(&mut self, is_dead: bool, since: DateTime<Utc>, reason: &str, now: DateTime<Utc>) {
        if let Some((Turn::Begins | Turn::Lasts, since)) = self.dead.note(is_dead, since, now) {
            let days = (now - since).num_days();
            log!(
                events::UPSTREAM_PRESUMED_DEAD,
                reason,
                since = since.to_rfc3339(),
                "the upstream is presumed dead: nothing is confirmed for {days} days: {reason}"
            );
        }
    }

    fn rejected(&mut self, report: &Report, now: DateTime<Utc>) {
        let (mut is_news, mut accepted, mut earliest) = (false, Vec::new(), now);
        for collection in Collection::ALL {
            let known = &mut self.rejected_since[collection];
            match &report.verdicts[collection] {
                Verdict::Rejected(_) if known.is_none() => {
                    let confirmed = report.status.collections[collection].confirmed_at;
                    *known = Some(confirmed.unwrap_or(report.status.started_at));
                    is_news = true;
                }
                // A missing answer says nothing about the next one.
                Verdict::Rejected(_) | Verdict::Failed(_) => {}
                _ => {
                    if let Some(since) = known.take() {
                        accepted.push(collection.name());
                        earliest = earliest.min(since);
                    }
                }
            }
        }
        if !accepted.is_empty() {
            let collections = accepted.join(", ");
            log!(
                events::ANSWER_ACCEPTED,
                collections,
                since = earliest.to_rfc3339(),
                "{collections}: confirmed again, after answers were rejected since {}",
                clock(earliest)
            );
        }
        let is_there = self.rejected_since.iter().any(|(_, since)| since.is_some());
        let turn = self.rejected.note(is_there, now, now);
        if is_news || matches!(turn, Some((Turn::Lasts, _))) {
            self.log_rejections(report);
        }
    }

    fn log_rejections(&self, report: &Report) {
        let is_rejected = |verdict: &Verdict| matches!(verdict, Verdict::Rejected(_));
        for (reason, collections) in report.reasons(is_rejected) {
            let since = collections
                .iter()
                .filter_map(|one| self.rejected_since[*one]);
            let since = since.min().unwrap_or(report.status.started_at);
            let names: Vec<_> = collections.iter().map(|one| one.name()).collect();
            let collections = names.join(", ");
            log!(
                events::ANSWER_REJECTED,
                collections,
                reason,
                since = since.to_rfc3339(),
                "{collections}: rejected the upstream's answer, the last data stays; not confirmed \
                 since {}: {reason}",
                clock(since)
            );
        }
    }
}
