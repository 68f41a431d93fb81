//! `ghibli-poller`: the command line of the poller.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::Utc;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use poller::commands::{self, AdminCommand};
use poller::config::{PollerConfig, VARIABLES};
use poller::cycle::step::Trust;
use poller::cycle::{Cycle, Syncer};
use poller::daemon;
use poller::trouble::Troubles;
use poller::upstream::UpstreamClient;
use shared::cache::write::Writer;
use shared::log;
use shared::service::telemetry::events;
use shared::service::{admin, config, console, http, shutdown, telemetry, tls};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Syncs the Ghibli API into the cache, every minute, for ever.
#[derive(Parser)]
#[command(name = "ghibli-poller", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Sync for ever (what happens without a command)
    Run,
    /// Sync once and exit: 0 when everything was confirmed, 1 otherwise
    Sync,
    /// Take the upstream's answers as they are, however much they take away; see the log for
    /// what was rejected as suspicious
    Accept,
    /// Remove the records that the upstream has withdrawn
    Prune,
    /// Ask the poller at `ADMIN_ADDR` whether it is ready: exit 0 if so, 1 otherwise
    Health,
}

fn main() -> ExitCode {
    let arguments = Arguments::command()
        .after_long_help(config::help(VARIABLES))
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(message) => return console::explain(&message),
    };
    let config = match PollerConfig::load(std::env::vars_os()) {
        Ok(config) => config,
        Err(mistakes) => {
            console::note(format_args!(
                "ghibli-poller: {mistakes}\n(--help lists the variables)"
            ));
            return ExitCode::from(config::EXIT_USAGE);
        }
    };
    let command = arguments.command.unwrap_or(Command::Run);
    match shutdown::run(dispatch(&command, config)) {
        Ok(code) => code,
        Err(error) => {
            console::note(format_args!("ghibli-poller: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: &Command, config: PollerConfig) -> Result<ExitCode> {
    match command {
        Command::Health => admin::check(config.admin_addr).map(|()| ExitCode::SUCCESS),
        Command::Run => Box::pin(run(config)).await.map(|()| ExitCode::SUCCESS),
        Command::Sync => Box::pin(sync(config, Trust::Suspicious)).await,
        Command::Accept => Box::pin(order(config, AdminCommand::Accept)).await,
        Command::Prune => Box::pin(order(config, AdminCommand::Prune)).await,
    }
}

async fn run(config: PollerConfig) -> Result<()> {
    let _logging = telemetry::start(config.log_format, &config.log_level);
    let shutdown = shutdown::requested()?;
    let syncer = syncer(&config)?;
    let admin = http::listen(config.admin_addr, "ADMIN_ADDR")?;
    log!(
        events::POLLER_STARTED,
        version = VERSION,
        upstream = %config.ghibli_api,
        cache = %config.cache_url,
        schedule = %config.poll_schedule,
        admin_address = %admin.local_addr()?,
        "ghibli-poller {VERSION} started: syncs {} into {}, at {}",
        config.ghibli_api,
        config.cache_url,
        config.poll_schedule
    );
    Box::pin(daemon::run(syncer, config.poll_schedule, admin, shutdown)).await
}

/// Sends an order to the running poller, or carries it out here if no poller runs.
async fn order(config: PollerConfig, command: AdminCommand) -> Result<ExitCode> {
    if admin::is_answering(config.admin_addr) {
        let done = commands::ask(config.admin_addr, command)?;
        return Ok(console::finish(done, ExitCode::SUCCESS));
    }
    if command == AdminCommand::Accept {
        return Box::pin(sync(config, Trust::Accepting)).await;
    }
    let mut syncer = syncer(&config)?;
    let pruned = syncer.prune().await;
    syncer.release().await;
    Ok(console::finish(
        commands::pruned(&pruned?),
        ExitCode::SUCCESS,
    ))
}

async fn sync(config: PollerConfig, trust: Trust) -> Result<ExitCode> {
    // The summary on standard output says everything; on a terminal, logs would only repeat it.
    let _logging = if std::io::stderr().is_terminal() {
        console::note(format_args!(
            "syncing {} into {} …",
            config.ghibli_api, config.cache_url
        ));
        None
    } else {
        Some(telemetry::start(config.log_format, &config.log_level))
    };
    let mut syncer = syncer(&config)?;
    let cycle = syncer.sync_once(trust, |_| None).await?;
    syncer.release().await;
    Ok(match cycle {
        Cycle::Standby { holder } => {
            let nothing = format!("nothing done: {holder} is syncing this cache");
            console::finish(nothing, ExitCode::FAILURE)
        }
        Cycle::Finished(report) => {
            Troubles::default().after(&report, Utc::now());
            report.log();
            let code = if report.outcome.is_success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
            console::finish(&report, code)
        }
    })
}

fn syncer(config: &PollerConfig) -> Result<Syncer> {
    tls::install_provider();
    let upstream = UpstreamClient::new(config.ghibli_api.clone(), config.upstream_timeout)
        .context(
            "cannot set up HTTPS; SSL_CERT_FILE and SSL_CERT_DIR, if set, name whom to trust",
        )?;
    // Unique among all pollers that may ever use the same cache.
    let started = Utc::now().timestamp_micros();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let holder = format!("{}-{}-{started}", host.trim(), std::process::id());
    let cache = config.cache_url.clone();
    let writer = Writer::new(&cache.trusting(config.cache_ca_file.clone()), &holder)?;
    Ok(Syncer::new(upstream, writer))
}
