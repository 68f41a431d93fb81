//! `ghibli-poller sync`: one sync, without a daemon.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use chrono::Utc;
use shared::service::{console, telemetry};

use super::progress::Progress;
use super::syncer;
use crate::config::PollerConfig;
use crate::cycle::Cycle;
use crate::cycle::step::Trust;
use crate::notify::heartbeat::Heartbeat;
use crate::trouble::Troubles;

/// Syncs once, and prints a table. Succeeds when everything was confirmed.
///
/// # Errors
/// When the cache cannot be read or written.
pub async fn run(config: PollerConfig, trust: Trust) -> Result<ExitCode> {
    // The summary on standard output says everything; on a terminal, logs would only repeat it.
    let is_terminal = std::io::stderr().is_terminal();
    let _logging = (!is_terminal).then(|| telemetry::start(config.log_format, &config.log_level));
    let progress = is_terminal.then(|| {
        let (upstream, cache) = (&config.ghibli_api, &config.cache_url);
        console::note(format_args!("syncing {upstream} into {cache} …"));
        Progress::start("waiting for the upstream")
    });
    let mut syncer = syncer(&config)?;
    let heartbeat = Heartbeat::new(config.heartbeat_url)?;
    let cycle = syncer.sync_once(trust, |_| None).await?;
    syncer.release().await;
    drop(progress);
    Ok(match cycle {
        Cycle::Standby { holder } => {
            let nothing = format!("nothing done: {holder} is syncing this cache");
            console::finish(nothing, ExitCode::FAILURE)
        }
        Cycle::Finished(report) => {
            Troubles::default().after(&report, Utc::now());
            report.log();
            let code = if report.outcome.is_success() {
                heartbeat.send().await;
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
            console::finish(&report, code)
        }
    })
}
