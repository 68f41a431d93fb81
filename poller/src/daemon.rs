//! Running for ever: a sync at start, then one per trigger, never two at once.
//!
//! Owns the lease's renewal between syncs and the notices that something began or ceased to fail.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Utc;
use futures_util::FutureExt;
use shared::admin;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::schedule::Schedule;
use crate::sync::{Cycle, RENEWAL, SyncError, Syncer};

/// How long a sync may take in all; fetching ends long before.
const SYNC_TIME: Duration = Duration::from_secs(40);

/// How late a trigger may be before the daemon goes ahead without it. The scheduler has been seen
/// to stop for ever after its process was suspended.
const OVERDUE: Duration = Duration::from_secs(2);

/// How long a running sync gets to finish once shutdown is asked for.
const DRAIN_TIME: Duration = Duration::from_secs(8);

/// Syncs until `shutdown` resolves, and answers health questions on `admin` meanwhile.
///
/// # Errors
/// When the schedule cannot be started. Nothing that upstream or cache do ends the daemon.
pub async fn run(
    mut syncer: Syncer,
    schedule: Schedule,
    admin: TcpListener,
    shutdown: impl Future<Output = &'static str>,
) -> Result<()> {
    let (mut scheduler, mut triggers) = schedule
        .start()
        .await
        .context("cannot start the schedule")?;
    let ready = Arc::new(AtomicBool::new(false));
    let (stop, mut stopped) = watch::channel(false);
    let health = tokio::spawn(admin::run(
        admin,
        {
            let ready = ready.clone();
            move || {
                let reached = ready.load(Ordering::Relaxed);
                reached
                    .then_some(())
                    .ok_or("no sync has reached the cache yet".to_owned())
            }
        },
        async move { _ = stopped.wait_for(|stop| *stop).await },
    ));

    let mut state = State {
        failing: false,
        standby: false,
        cache_trouble: None,
    };
    let mut heartbeat = interval(RENEWAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    let signal = loop {
        let next = schedule.next_after(Utc::now());
        {
            let mut sync = pin!(state.observe(syncer.sync_once(next)));
            let reached = tokio::select! {
                reached = &mut sync => reached,
                signal = &mut shutdown => {
                    // Half a sync is worth nothing, a whole one takes but a moment more.
                    let _ = timeout(DRAIN_TIME, sync).await;
                    break signal;
                }
            };
            if reached {
                ready.store(true, Ordering::Relaxed);
            }
        }
        let overdue = sleep(until_overdue(&schedule));
        let retry = sleep(state.retry_after_cache_trouble().unwrap_or(Duration::MAX));
        let (mut overdue, mut retry) = (pin!(overdue), pin!(retry));
        // Waits for the next sync to be due.
        let signal = loop {
            tokio::select! {
                signal = &mut shutdown => break Some(signal),
                _ = triggers.recv() => break None,
                () = &mut retry => break None,
                () = &mut overdue => {
                    tracing::debug!("the scheduler missed a trigger");
                    break None;
                }
                _ = heartbeat.tick() => {
                    let held = timeout(RENEWAL, syncer.renew()).await;
                    // A standby that gets the lease does not wait for the schedule.
                    if state.standby && matches!(held, Ok(Ok(true))) {
                        break None;
                    }
                }
            }
        };
        if let Some(signal) = signal {
            break signal;
        }
    };
    tracing::info!(signal, "stopping");
    let _ = timeout(DRAIN_TIME, syncer.release()).await;
    let _ = stop.send(true);
    let _ = scheduler.shutdown().await;
    health.await.context("the admin listener failed")
}

/// The time from now until the next trigger is overdue.
fn until_overdue(schedule: &Schedule) -> Duration {
    let now = Utc::now();
    let wait = schedule
        .next_after(now)
        .and_then(|next| (next - now).to_std().ok());
    wait.unwrap_or(Duration::from_mins(1)) + OVERDUE
}

/// What the last cycle came to, so that beginnings and endings are told once.
struct State {
    failing: bool,
    standby: bool,
    /// How many syncs in a row failed for the cache's sake, and whether the last one had asked
    /// the upstream.
    cache_trouble: Option<(u32, bool)>,
}

impl State {
    /// Runs a sync and logs what came of it. Returns whether the cache could be worked with.
    async fn observe(&mut self, sync: impl Future<Output = Result<Cycle, SyncError>>) -> bool {
        // A panic in one sync, which would be a mistake of ours, must not be the last sync.
        let guarded = timeout(SYNC_TIME, AssertUnwindSafe(sync).catch_unwind()).await;
        let failures_before = self
            .cache_trouble
            .take()
            .map_or(0, |(failures, _)| failures);
        let failure = match guarded {
            Ok(Ok(Ok(Cycle::Finished(report)))) => {
                report.log();
                self.failing(report.reason().as_deref());
                self.standby = false;
                return true;
            }
            Ok(Ok(Ok(Cycle::Standby { holder }))) => {
                if !self.standby {
                    tracing::info!(holder, "standing by, another poller syncs");
                }
                self.standby = true;
                return true;
            }
            Ok(Ok(Err(error))) => {
                self.cache_trouble = Some((failures_before + 1, error.has_asked_upstream()));
                error.to_string()
            }
            Ok(Err(_)) => "the sync panicked".to_owned(),
            Err(_) => format!("no end within {SYNC_TIME:?}"),
        };
        tracing::warn!(reason = failure, "sync failed");
        self.failing(Some(&failure));
        false
    }

    /// How long to wait, if the schedule allows it, when the last sync failed for the cache's sake.
    ///
    /// Doubles from a second. Looking whether the cache is back costs nobody anything and goes on
    /// every few seconds; a sync that gets as far as the upstream is soon left to the schedule.
    fn retry_after_cache_trouble(&self) -> Option<Duration> {
        let (failures, has_asked_upstream) = self.cache_trouble?;
        let most = if has_asked_upstream { 60 } else { 5 };
        Some(Duration::from_secs((1 << (failures - 1).min(6)).min(most)))
    }

    fn failing(&mut self, reason: Option<&str>) {
        match (self.failing, reason) {
            (false, Some(reason)) => {
                tracing::warn!(reason, "syncs began to fail, the last data stays");
            }
            (true, None) => tracing::info!("syncs succeed again"),
            _ => {}
        }
        self.failing = reason.is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_trouble_is_looked_into_soon_and_without_bothering_the_upstream() {
        let waits = |has_asked_upstream| {
            [1, 2, 3, 4, 5, 6, 7, 100].map(|failures| {
                let state = State {
                    failing: true,
                    standby: false,
                    cache_trouble: Some((failures, has_asked_upstream)),
                };
                state.retry_after_cache_trouble().unwrap().as_secs()
            })
        };
        assert_eq!(waits(false), [1, 2, 4, 5, 5, 5, 5, 5]);
        assert_eq!(waits(true), [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
