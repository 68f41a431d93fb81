//! Runs for ever: a sync at start, then one per trigger, never two at once. Between syncs it
//! carries out admin commands.
//!
//! Renews the lease between syncs. `trouble` logs when something begins or stops failing.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use shared::cache::CacheError;
use shared::cache::write::Lease;
use shared::log;
use shared::service::admin::{self, AdminRequest};
use shared::service::metrics::Metrics;
use shared::service::telemetry::events;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::commands::admin_commands::AdminCommand;
use crate::cycle::change::Change;
use crate::cycle::log::log_failure;
use crate::cycle::step::Trust;
use crate::cycle::{Cycle, Heard, RENEWAL, Syncer};
use crate::due::{Due, Moment};
use crate::metrics::PollerMetrics;
use crate::notify::Notifiers;
use crate::schedule::Schedule;
use crate::trouble::Troubles;

/// The time limit for a whole sync; fetching ends long before.
const SYNC_TIME: Duration = Duration::from_secs(40);

/// After the cache has failed a sync: how often to check whether the cache is back.
const CACHE_RETRY: Duration = Duration::from_secs(5);

/// How long a running sync may take to finish after a shutdown request.
const DRAIN_TIME: Duration = Duration::from_secs(8);

/// Syncs until `shutdown` resolves, and answers health requests on `admin` in the meantime.
///
/// # Errors
/// When the schedule cannot be started. No failure of the upstream or the cache ends the daemon.
pub async fn run(
    syncer: Syncer,
    schedule: Schedule,
    notifiers: Notifiers,
    admin: TcpListener,
    shutdown: impl Future<Output = &'static str>,
) -> Result<()> {
    let (mut scheduler, mut triggers) = schedule
        .start()
        .await
        .context("cannot start the schedule")?;
    let mut daemon = Daemon::new(syncer, schedule, notifiers);
    let (stop, mut stopped) = watch::channel(false);
    let (send_commands, mut commands) = mpsc::channel(1);
    let health = tokio::spawn(admin::run(
        admin,
        daemon.readiness(),
        Some(send_commands),
        daemon.exposed(),
        async move {
            _ = stopped.wait_for(|stop| *stop).await;
        },
    ));

    let mut shutdown = pin!(shutdown);
    let mut work = Work::Sync;
    let signal = loop {
        {
            let mut doing = pin!(daemon.work(work));
            tokio::select! {
                () = &mut doing => {}
                signal = &mut shutdown => {
                    // Half a sync is useless, and a whole one takes only a moment more.
                    let _ = timeout(DRAIN_TIME, doing).await;
                    break signal;
                }
            }
        }
        tokio::select! {
            next = daemon.wait(&mut triggers, &mut commands) => work = next,
            signal = &mut shutdown => break signal,
        }
    };
    let _ = timeout(DRAIN_TIME, daemon.syncer.release()).await;
    let _ = stop.send(true);
    let _ = scheduler.shutdown().await;
    health.await.context("the admin listener failed")?;
    log!(events::POLLER_STOPPED, signal, "stopped on {signal}");
    Ok(())
}

struct Daemon {
    syncer: Syncer,
    schedule: Schedule,
    notifiers: Notifiers,
    backoff: Backoff,
    /// The daemon ignores triggers before this time.
    due: Due,
    /// When to try again even if no trigger is due.
    retry: Option<Instant>,
    cache_failures: u32,
    troubles: Troubles,
    standby: bool,
    ready: Arc<AtomicBool>,
    metrics: PollerMetrics,
}

/// The reply to an admin command, as text for a person.
type Reply = Result<String, String>;

enum Work {
    Sync,
    Command(AdminRequest),
}

impl Daemon {
    fn new(syncer: Syncer, schedule: Schedule, notifiers: Notifiers) -> Self {
        let metrics = PollerMetrics::new(notifiers.webhooks.attempts());
        Self {
            syncer,
            schedule,
            notifiers,
            backoff: Backoff::default(),
            due: Due::at_once(Moment::now()),
            retry: None,
            cache_failures: 0,
            troubles: Troubles::default(),
            standby: false,
            ready: Arc::default(),
            metrics,
        }
    }

    fn readiness(&self) -> impl Fn() -> admin::Readiness + Clone + Send + Sync + 'static {
        let ready = self.ready.clone();
        move || {
            let reached = ready.load(Ordering::Relaxed);
            reached
                .then_some(())
                .ok_or("no sync has reached the cache yet".to_owned())
        }
    }

    fn exposed(&self) -> Metrics {
        let metrics = self.metrics.clone();
        let ready = self.readiness();
        let is_ready = move || ready().is_ok();
        Metrics::new(crate::VERSION, is_ready, move |page| metrics.describe(page))
    }

    async fn work(&mut self, work: Work) {
        let Work::Command(request) = work else {
            // The result is already in the log.
            let _ = self.sync(Trust::Suspicious).await;
            return;
        };
        let done = match AdminCommand::read(&request) {
            Ok(AdminCommand::Accept) => self.sync(Trust::Accepting).await,
            Ok(AdminCommand::Change(change)) => self.change(change).await,
            Err(refusal) => Err(refusal),
        };
        // The client may have disconnected.
        let _ = request.reply.send(done);
    }

    /// Waits for the next thing to do, and renews the lease in the meantime.
    async fn wait(
        &mut self,
        triggers: &mut mpsc::Receiver<()>,
        commands: &mut mpsc::Receiver<AdminRequest>,
    ) -> Work {
        let mut heartbeat = interval(RENEWAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let overdue = self.due.overdue(Moment::now());
            tokio::select! {
                Some(request) = commands.recv() => return Work::Command(request),
                Some(()) = triggers.recv() => {}
                () = sleep_until(self.retry.unwrap_or(overdue)), if self.retry.is_some() => {
                    return Work::Sync;
                }
                () = sleep_until(overdue) => tracing::debug!("the scheduler missed a trigger"),
                _ = heartbeat.tick() => {
                    let lease = timeout(RENEWAL, self.syncer.lead()).await;
                    let is_held = matches!(lease, Ok(Ok(Lease::Held)));
                    self.metrics.note_lease(is_held);
                    if !is_held {
                        self.notifiers.webhooks.pause();
                    }
                    // A standby that gets the lease does not wait for the schedule.
                    if is_held && self.standby && self.due.may_ask(Moment::now()) {
                        return Work::Sync;
                    }
                }
            }
            // Also check after each heartbeat: it notices a set wall clock first.
            if self.due.has_come(Moment::now()) {
                return Work::Sync;
            }
        }
    }

    /// Does one sync and logs the result. Returns the result as text for people.
    async fn sync(&mut self, trust: Trust) -> Reply {
        let Self {
            syncer,
            schedule,
            backoff,
            due,
            troubles,
            ..
        } = self;
        let begun = Moment::now();
        due.plan(begun, schedule.next_after(begun.wall));
        let mut last_heard = None;
        let sync = syncer.sync_once(trust, |heard| {
            last_heard = Some(heard);
            let (answered, asked_for) = (heard.answered, heard.asked_for);
            let now = Moment::now();
            let attempt = backoff.next_attempt(schedule, now.wall, answered, asked_for);
            due.attempt(now, attempt);
            troubles.backoff(attempt.at, schedule.next_after(now.wall));
            Some(attempt.at)
        });
        // A panic in one sync would be our bug; later syncs must still run.
        let guarded = timeout(SYNC_TIME, AssertUnwindSafe(sync).catch_unwind()).await;
        self.retry = None;
        self.metrics.note(match &guarded {
            Ok(Ok(Ok(cycle))) => Some(cycle),
            _ => None,
        });
        let failure = match guarded {
            Ok(Ok(Ok(cycle))) => {
                self.ready.store(true, Ordering::Relaxed);
                self.cache_failures = 0;
                return self.reply(cycle);
            }
            Ok(Ok(Err(error))) => {
                let wait = retry_after_cache_trouble(self.cache_failures, last_heard);
                self.retry = wait.map(|wait| self.due.not_before_quiet(Instant::now() + wait));
                self.cache_failures = self.cache_failures.saturating_add(1);
                let failure = format!("{error:#}");
                // `lease_fenced` reports a lost lease.
                if !matches!(error.downcast_ref(), Some(CacheError::LeaseLost)) {
                    self.troubles.cache(Some(&failure), Utc::now());
                }
                failure
            }
            Ok(Err(_)) => self.aborted("the sync panicked".to_owned()),
            Err(_) => self.aborted(format!("no end within {SYNC_TIME:?}")),
        };
        let next = self.next_attempt(Moment::now());
        log_failure(&failure, begun.steady.elapsed(), next);
        Err(failure)
    }

    fn reply(&mut self, cycle: Cycle) -> Reply {
        match cycle {
            Cycle::Finished(report) => {
                self.troubles.after(&report, Utc::now());
                report.log();
                self.notifiers.after(&report, &self.syncer);
                self.standby = false;
                Ok(report.to_string())
            }
            Cycle::Standby { holder } => {
                self.troubles.cache(None, Utc::now());
                self.notifiers.webhooks.pause();
                self.standby = true;
                Err(format!("{holder} is syncing this cache; ask it there"))
            }
        }
    }

    async fn change(&mut self, change: Change) -> Reply {
        match timeout(SYNC_TIME, self.syncer.change(change)).await {
            Ok(Ok(changed)) => {
                changed.log();
                Ok(changed.to_string())
            }
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("no end within {SYNC_TIME:?}")),
        }
    }

    fn aborted(&mut self, failure: String) -> String {
        self.troubles.aborted(Some(&failure), Utc::now());
        failure
    }

    /// When the next sync is due, after one that failed.
    fn next_attempt(&self, now: Moment) -> Option<DateTime<Utc>> {
        let Some(retry) = self.retry else {
            return Some(self.due.at());
        };
        let wait = TimeDelta::from_std(retry.saturating_duration_since(now.steady)).ok()?;
        Some(self.due.at().min(now.wall + wait))
    }
}

/// How long to wait after the cache failed a sync, if the schedule leaves that much time; `None`
/// when only the schedule counts. `failures` is the number of failures in a row before this one.
///
/// The wait starts at one second and doubles. Retries that reach only the cache are cheap, so
/// they go on. Retries that reach the upstream soon leave it to the schedule, and at once when the
/// upstream must be left alone.
fn retry_after_cache_trouble(failures: u32, heard: Option<Heard>) -> Option<Duration> {
    let doubled = Duration::from_secs(1 << failures.min(10));
    match heard {
        None => Some(doubled.min(CACHE_RETRY)),
        Some(heard) if heard.answered && heard.asked_for.is_none() => Some(doubled),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_trouble_is_looked_into_within_seconds_but_not_at_the_upstreams_cost() {
        let waits = |heard| {
            [0, 1, 2, 3, 4, 100].map(|failures| {
                retry_after_cache_trouble(failures, heard).map(|wait| wait.as_secs())
            })
        };
        let heard = |answered, asked_for| {
            Some(Heard {
                answered,
                asked_for,
            })
        };
        assert_eq!(waits(None), [1, 2, 4, 5, 5, 5].map(Some));
        assert_eq!(waits(heard(true, None)), [1, 2, 4, 8, 16, 1024].map(Some));
        assert_eq!(waits(heard(false, None)), [None; 6]);
        assert_eq!(waits(heard(true, Some(Duration::from_secs(9)))), [None; 6]);
    }
}
