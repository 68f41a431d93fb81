//! What the poller sends to others than the cache: heartbeats and webhooks.
//!
//! | module | owns |
//! |---|---|
//! | [`heartbeat`] | the dead man's switch |
//! | [`webhooks`] | delivers new releases, at least once |
//! | [`outbox`] | which releases have yet to reach which webhook |
//! | [`message`] | the content of a webhook, and its signature |
//! | [`url`] | URLs whose paths are secrets |
//!
//! Never delays a sync.

pub mod heartbeat;
pub mod message;
pub mod outbox;
pub mod url;
pub mod webhooks;

use std::time::Duration;

use anyhow::Result;
use reqwest::{Error, Response};

use self::heartbeat::Heartbeat;
use self::outbox::Deliveries;
use self::url::SecretUrl;
use self::webhooks::Webhooks;
use crate::config::PollerConfig;
use crate::cycle::Syncer;
use crate::cycle::report::Report;

/// Everything that a daemon sends.
#[derive(Debug)]
pub struct Notifiers {
    heartbeat: Heartbeat,
    /// The webhooks.
    pub webhooks: Webhooks,
}

impl Notifiers {
    /// Sets up what the configuration asks for. `deliveries` are those of the syncer.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn start(config: &PollerConfig, deliveries: &Deliveries) -> Result<Self> {
        let (urls, secret) = (&config.webhook_urls, config.webhook_secret.as_ref());
        Ok(Self {
            heartbeat: Heartbeat::new(config.heartbeat_url.clone())?,
            webhooks: Webhooks::start(urls, secret, deliveries)?,
        })
    }

    /// Sends what a finished cycle asks for.
    pub fn after(&self, report: &Report, syncer: &Syncer) {
        self.heartbeat.after(report);
        let (stored, log) = syncer.outgoing();
        self.webhooks.deliver(stored, log);
    }
}

/// Why a request did not succeed within a time, without more of the URL than its origin: the error's own text may
/// hold the URL, or where it redirects to.
fn success(url: &SecretUrl, time: Duration, answer: Result<Response, Error>) -> Result<(), String> {
    let reason = match answer {
        Ok(answer) if answer.status().is_success() => return Ok(()),
        Ok(answer) => format!("status {}", answer.status().as_u16()),
        Err(error) if error.is_timeout() => format!("no answer within {time:?}"),
        Err(error) if error.is_connect() => "cannot connect".to_owned(),
        Err(_) => "no usable answer".to_owned(),
    };
    Err(format!("{url:?}: {reason}"))
}
