//! `ghibli-poller`: the command line of the poller.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use poller::commands::admin_commands::{self, AdminCommand};
use poller::commands::{completions, drill, history, status, sync, syncer, transfer, verify};
use poller::config::{PollerConfig, VARIABLES};
use poller::cycle::change::Change;
use poller::cycle::step::Trust;
use poller::daemon;
use poller::notify::Notifiers;
use shared::log;
use shared::service::telemetry::events;
use shared::service::{admin, config, console, http, shutdown, supervisor, telemetry};

/// Syncs the Ghibli API into the cache, every minute, for ever.
#[derive(Parser)]
#[command(name = "ghibli-poller", version = poller::VERSION)]
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
    /// Show what the cache holds and how current it is: exit 0 when everything is confirmed and
    /// recent, 1 otherwise
    Status(Output),
    /// Compare the upstream with the cache and change nothing: exit 0 when they have the same, 1
    /// otherwise
    Verify(Output),
    /// Take the upstream's answers as they are, however much they take away; show what that does,
    /// and ask first
    Accept(Consent),
    /// Remove the records that the upstream has withdrawn; show them, and ask first
    Prune(Consent),
    /// List the last generations of the cache, the newest first, and what each changed
    History(Output),
    /// Bring back an earlier generation as a new one: undoes a wrong accept, prune or import
    ///
    /// The release log stays, so no film is announced twice. The next sync asks the upstream for
    /// everything: what it rejects as suspicious stays undone, any other change comes again.
    Rollback {
        /// The number of a generation, from `history`
        generation: u64,
    },
    /// Write the whole snapshot to a file
    Export {
        /// The file, or - for standard output
        file: PathBuf,
    },
    /// Replace what the cache holds by an exported snapshot, as a new generation; checks it first
    ///
    /// What the cache held before goes to the history. The release log stays, and gets what the
    /// file adds. The next sync asks the upstream for everything.
    Import {
        /// A file that `export` has written, or - for standard input
        file: PathBuf,
    },
    /// Rehearse a release, from a stand-in upstream to readers of this cache, apart from the mirror;
    /// print what happened when, and leave nothing behind
    ///
    /// Uses keys, or a directory, of its own in the cache of `CACHE_URL`, which no server follows.
    /// Runs beside a poller. Exits with 0 when the film was announced once and every reader has it.
    Drill {
        /// How many readers follow
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
        readers: u8,
        #[command(flatten)]
        output: Output,
    },
    /// Ask the poller at `ADMIN_ADDR` whether it is ready: exit 0 if so, 1 otherwise
    Health,
    /// Print a script that completes these commands in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// For commands that scripts read.
#[derive(Args)]
struct Output {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For commands that ask first.
#[derive(Args)]
struct Consent {
    /// Do not ask; for scripts
    #[arg(long, short)]
    yes: bool,
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
    // Needs no configuration, as --help does not.
    if let Some(Command::Completions { shell }) = arguments.command {
        return completions::run(shell, Arguments::command());
    }
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
    match shutdown::run(Box::pin(dispatch(command, config))) {
        Ok(code) => code,
        Err(error) => {
            console::note(format_args!("ghibli-poller: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command, config: PollerConfig) -> Result<ExitCode> {
    match command {
        Command::Run => Box::pin(run(config)).await.map(|()| ExitCode::SUCCESS),
        Command::Sync => sync::run(config, Trust::Suspicious).await,
        Command::Status(output) => status::run(config, output.json).await,
        Command::Verify(output) => verify::run(config, output.json).await,
        Command::Accept(consent) => admin_commands::accept(config, consent.yes).await,
        Command::Prune(consent) => admin_commands::prune(config, consent.yes).await,
        Command::History(output) => history::run(config, output.json).await,
        Command::Rollback { generation } => {
            admin_commands::run(config, AdminCommand::Change(Change::Rollback(generation))).await
        }
        Command::Export { file } => transfer::export(config, &file).await,
        Command::Import { file } => transfer::import(config, &file).await,
        Command::Drill { readers, output } => drill::run(config, readers.into(), output.json).await,
        Command::Completions { shell } => Ok(completions::run(shell, Arguments::command())),
        Command::Health => admin::check(config.admin_addr).map(|()| ExitCode::SUCCESS),
    }
}

async fn run(config: PollerConfig) -> Result<()> {
    let _logging = telemetry::start(config.log_format, &config.log_level);
    let shutdown = shutdown::requested()?;
    let syncer = syncer(&config)?;
    let notifiers = Notifiers::start(&config, syncer.deliveries())?;
    let admin = http::listen(config.admin_addr, "ADMIN_ADDR")?;
    log!(
        events::POLLER_STARTED,
        version = poller::VERSION,
        upstream = %config.ghibli_api,
        cache = %config.cache_url,
        schedule = %config.poll_schedule,
        admin_address = %admin.local_addr()?,
        "ghibli-poller {} started: syncs {} into {}, at {}",
        poller::VERSION,
        config.ghibli_api,
        config.cache_url,
        config.poll_schedule
    );
    supervisor::ready();
    let schedule = config.poll_schedule;
    Box::pin(daemon::run(syncer, schedule, notifiers, admin, shutdown)).await
}
