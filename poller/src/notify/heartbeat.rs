//! The dead man's switch: requests `HEARTBEAT_URL` after each fully successful sync, and only then.
//! The service behind that URL raises the alarm when the requests stop, for whatever reason.
//!
//! Never delays a sync, never retries, and never shows more of the URL than its origin: its path is a
//! secret with most services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::success;
use super::url::SecretUrl;
use crate::cycle::report::Report;
use anyhow::{Context, Result};
use reqwest::{Client, redirect};
use shared::log;
use shared::service::telemetry::events;
use shared::service::tls;
use tokio::sync::Semaphore;

/// How long the request may take, connecting included.
const TIME: Duration = Duration::from_secs(5);

/// How many redirects to follow, all within the URL's origin.
const MAX_REDIRECTS: usize = 3;

/// Sends heartbeats; does nothing without a URL.
#[derive(Clone, Debug)]
pub struct Heartbeat(Option<Arc<Sender>>);

#[derive(Debug)]
struct Sender {
    client: Client,
    url: SecretUrl,
    /// One request at a time: while one waits for its answer, another would say nothing more.
    turn: Semaphore,
    /// The last one failed, and the log says so.
    is_failing: AtomicBool,
}

impl Heartbeat {
    /// Creates a sender. Uses the usual proxy variables.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(url: Option<SecretUrl>) -> Result<Self> {
        let Some(url) = url else {
            return Ok(Self(None));
        };
        tls::install_provider();
        let origin = url.url().origin();
        let within_origin = redirect::Policy::custom(move |attempt| {
            let is_near = attempt.url().origin() == origin;
            if is_near && attempt.previous().len() <= MAX_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let client = Client::builder()
            .user_agent(concat!("ghibli-mirror/", env!("CARGO_PKG_VERSION")))
            .timeout(TIME)
            .redirect(within_origin)
            .referer(false)
            .build()
            .context("cannot set up HTTPS for HEARTBEAT_URL")?;
        Ok(Self(Some(Arc::new(Sender {
            client,
            url,
            turn: Semaphore::new(1),
            is_failing: AtomicBool::new(false),
        }))))
    }

    /// Sends one, in the background, if the sync was fully successful.
    pub fn after(&self, report: &Report) {
        if self.0.is_some() && report.outcome.is_success() {
            let this = self.clone();
            tokio::spawn(async move { this.send().await });
        }
    }

    /// Sends one, and logs when they begin to fail and when they arrive again.
    pub async fn send(&self) {
        let Some(sender) = &self.0 else {
            return;
        };
        let Ok(_turn) = sender.turn.try_acquire() else {
            return;
        };
        let failure = sender.request().await.err();
        let was_failing = sender.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(reason) if !was_failing => {
                log!(
                    events::HEARTBEAT_FAILING,
                    reason,
                    "heartbeats do not arrive, syncs go on: {reason}"
                );
            }
            None if was_failing => {
                log!(events::HEARTBEAT_BACK, "heartbeats arrive again");
            }
            _ => {}
        }
    }
}

impl Sender {
    async fn request(&self) -> Result<(), String> {
        let request = self.client.get(self.url.url().clone());
        success(&self.url, TIME, request.send().await)
    }
}
