//! `ghibli-server`: the command line of the server.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use server::config::{ServerConfig, VARIABLES};
use server::events::Events;
use server::fallback;
use server::follow::{self, Known};
use server::http::guard;
use server::http::handlers::Setup;
use server::http::measure::Requests;
use server::metrics::ServerMetrics;
use server::publish::{self, Published};
use server::query::pool::QueryLoad;
use server::status::Watched;
use shared::cache::read::Reader;
use shared::log;
use shared::service::http::{Limits, OpenConnections};
use shared::service::metrics::Metrics;
use shared::service::telemetry::events;
use shared::service::{admin, config, console, http, shutdown, supervisor, telemetry, tls};
use tokio::sync::watch;

/// Serves the films and people of the Ghibli API from the cache, and nothing else.
#[derive(Parser)]
#[command(name = "ghibli-server", version = server::VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve for ever (what happens without a command)
    Run,
    /// Answer 503 to every request, for an edge to fall back on while no server is there
    Fallback,
    /// Ask the server at `ADMIN_ADDR` whether it is ready: exit 0 if so, 1 otherwise
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
    let config = match ServerConfig::load(std::env::vars_os()) {
        Ok(config) => config,
        Err(mistakes) => {
            console::note(format_args!(
                "ghibli-server: {mistakes}\n(--help lists the variables)"
            ));
            return ExitCode::from(config::EXIT_USAGE);
        }
    };
    let outcome = match arguments.command {
        None | Some(Command::Run) => shutdown::run(run(&config)),
        Some(Command::Fallback) => shutdown::run(fall_back(&config)),
        Some(Command::Health) => admin::check(config.admin_addr),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::note(format_args!("ghibli-server: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: &ServerConfig) -> Result<()> {
    let _logging = telemetry::start(config.log_format, &config.log_level);
    tls::install_provider();
    let shutdown = shutdown::requested()?;
    let cache = config.cache_url.clone();
    let reader = Reader::new(&cache.trusting(config.cache_ca_file.clone()))?;
    let listener = http::listen(config.listen_addr, "LISTEN_ADDR")?;
    let admin = http::listen(config.admin_addr, "ADMIN_ADDR")?;
    let address: SocketAddr = listener.local_addr()?;
    let links = config.link_policy(address);
    log!(
        events::SERVER_STARTED,
        version = server::VERSION,
        %address,
        admin_address = %admin.local_addr()?,
        cache = %config.cache_url,
        %links,
        "ghibli-server {} started: listens at {address}, reads {}",
        server::VERSION,
        config.cache_url
    );

    let published = Published::default();
    let limits = Limits::default().within_open_files();
    let events = Events::new(limits.streams);
    let (known, watched) = watch::channel(Known::default());
    let (stop, stopped) = watch::channel(());
    let until_stop = || {
        let mut stopped = stopped.clone();
        async move { _ = stopped.changed().await }
    };
    let ready = {
        let published = published.clone();
        move || {
            published
                .load()
                .as_ref()
                .map(|_| ())
                .ok_or("nothing has been loaded yet".into())
        }
    };
    let figures = ServerMetrics {
        requests: Requests::default(),
        connections: OpenConnections::default(),
        events: events.clone(),
        queries: QueryLoad::default(),
        known: watched.clone(),
    };
    let metrics = {
        let (ready, figures) = (ready.clone(), figures.clone());
        let is_ready = move || ready().is_ok();
        Metrics::new(server::VERSION, is_ready, move |page| {
            figures.describe(page)
        })
    };
    let health = tokio::spawn(admin::run(admin, ready, None, metrics, until_stop()));
    let base = config.base(address);
    let setup = Setup {
        base: base.clone(),
        cache_control: config.cache_control.0.clone(),
        posters: config.posters,
        server_timing: config.server_timing,
        watched: Watched::new(watched.clone()),
        queries: figures.queries,
        events: events.clone(),
    };
    let service = guard::service(published.clone(), setup);
    let public = tokio::spawn(http::serve_on_each_core(
        listener,
        move |thread| figures.requests.measured(service.clone(), thread),
        limits,
        figures.connections,
        until_stop(),
    ));
    supervisor::ready();

    let mut following = tokio::spawn(follow::run(reader, known));
    let outcome = tokio::select! {
        signal = shutdown => {
            drains(signal);
            Ok(())
        }
        outcome = &mut following => {
            outcome.context("following the cache failed")
        }
        outcome = tokio::spawn(publish::run(
            watched, links, base, config.posters, published, events.clone(),
        )) => {
            outcome.context("rendering failed").flatten()
        }
    };
    // Otherwise the end of the process would wait for the thread that looks at a file cache.
    following.abort();
    // Clients then connect to another server. These streams would last longer than the drain.
    events.end().await;
    drop(stop);
    public.await?.context("the listener failed")?;
    health.await.context("the admin listener failed")?;
    log!(events::STOPPED, "stopped");
    outcome
}

/// Runs the fallback for the edge. It uses neither the cache nor the settings for links.
async fn fall_back(config: &ServerConfig) -> Result<()> {
    let _logging = telemetry::start(config.log_format, &config.log_level);
    let shutdown = shutdown::requested()?;
    let listener = http::listen(config.listen_addr, "LISTEN_ADDR")?;
    let admin = http::listen(config.admin_addr, "ADMIN_ADDR")?;
    let address = listener.local_addr()?;
    log!(
        events::FALLBACK_STARTED,
        version = server::VERSION,
        %address,
        admin_address = %admin.local_addr()?,
        "ghibli-server {} stands in for readers: listens at {address}, answers 503",
        server::VERSION
    );
    let (stop, stopped) = watch::channel(());
    let until_stop = || {
        let mut stopped = stopped.clone();
        async move { _ = stopped.changed().await }
    };
    let limits = Limits::default().within_open_files();
    let metrics = Metrics::new(server::VERSION, || true, |_| Ok(()));
    let health = tokio::spawn(admin::run(admin, || Ok(()), None, metrics, until_stop()));
    let public = tokio::spawn(http::serve_on_each_core(
        listener,
        |_| fallback::service(),
        limits,
        OpenConnections::default(),
        until_stop(),
    ));
    supervisor::ready();
    let signal = shutdown.await;
    drains(signal);
    drop(stop);
    public.await?.context("the listener failed")?;
    health.await.context("the admin listener failed")?;
    log!(events::STOPPED, "stopped");
    Ok(())
}

fn drains(signal: &str) {
    log!(
        events::DRAINING,
        signal,
        "stopping on {signal}: open requests may finish"
    );
}
