//! What the command line of the poller does, beside running it.
//!
//! | module | owns |
//! |---|---|
//! | [`admin_commands`] | what only a person decides: accept, prune, rollback, import; the question before |
//! | [`sync`] | one sync |
//! | [`status`] | what the cache holds, and how current it is |
//! | [`verify`] | what the upstream has otherwise |
//! | [`transfer`] | export and import |
//! | [`drill`] | a fake release, end to end, apart from the mirror |
//! | [`history`] | the generations that are kept, and what each changed |
//! | [`completions`] | scripts that complete commands in a shell |
//! | [`progress`] | what a person sees while a command works |
//!
//! Results go to standard output; questions, progress and log lines to standard error.

pub mod admin_commands;
pub mod completions;
pub mod drill;
pub mod history;
pub mod progress;
pub mod status;
pub mod sync;
pub mod transfer;
pub mod verify;

use anyhow::{Context, Result};
use shared::cache::CacheUrl;
use shared::cache::write::Writer;
use shared::service::tls;

use crate::config::PollerConfig;
use crate::cycle::Syncer;
use crate::upstream::UpstreamClient;

/// A syncer with these settings.
///
/// # Errors
/// When TLS cannot be set up.
pub fn syncer(config: &PollerConfig) -> Result<Syncer> {
    let deliveries = config.webhook_urls.deliveries();
    Ok(Syncer::new(upstream(config)?, writer(config)?, deliveries))
}

fn upstream(config: &PollerConfig) -> Result<UpstreamClient> {
    tls::install_provider();
    UpstreamClient::new(config.ghibli_api.clone(), config.upstream_timeout)
        .context("cannot set up HTTPS; SSL_CERT_FILE and SSL_CERT_DIR, if set, name whom to trust")
}

fn writer(config: &PollerConfig) -> Result<Writer> {
    tls::install_provider();
    Ok(Writer::new(&cache(config), &name())?)
}

fn cache(config: &PollerConfig) -> CacheUrl {
    let cache = config.cache_url.clone();
    cache.trusting(config.cache_ca_file.clone())
}

/// A name for this process, unique among all pollers that may ever use the same cache.
fn name() -> String {
    let started = chrono::Utc::now().timestamp_micros();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}-{started}", host.trim(), std::process::id())
}
