//! The dead man's switch: requests `HEARTBEAT_URL` after each fully successful sync, and only then.
//! Whoever watches that URL raises the alarm when the requests stop, for whatever reason.
//!
//! Never delays a sync, never retries, and never shows more of the URL than its origin: its path is a
//! secret with most services.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, redirect};
use serde::{Deserialize, Deserializer, de};
use shared::log;
use shared::service::telemetry::events;
use shared::service::tls;
use tokio::sync::Semaphore;
use url::Url;

use crate::cycle::report::Report;

/// How long the request may take, connecting included.
const TIME: Duration = Duration::from_secs(5);

/// How many redirects to follow, all within the URL's origin.
const MAX_REDIRECTS: usize = 3;

/// The longest URL, in bytes.
const MAX_BYTES: usize = 2000;

const EXPECTED: &str = "expected a whole URL: http://HOST[:PORT]/PATH or https://…";

/// What to request. Shows only its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct HeartbeatUrl(Url);

impl FromStr for HeartbeatUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let is_whole = lower.starts_with("http://") || lower.starts_with("https://");
        if !is_whole || text.len() > MAX_BYTES || text.contains(char::is_whitespace) {
            return Err(EXPECTED);
        }
        Url::parse(text).map(Self).map_err(|_| EXPECTED)
    }
}

impl<'de> Deserialize<'de> for HeartbeatUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for HeartbeatUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.0.origin().ascii_serialization())
    }
}

impl HeartbeatUrl {
    /// The URL for requests.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

/// Sends heartbeats; does nothing without a URL.
#[derive(Clone, Debug)]
pub struct Heartbeat(Option<Arc<Sender>>);

#[derive(Debug)]
struct Sender {
    client: Client,
    url: HeartbeatUrl,
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
    pub fn new(url: Option<HeartbeatUrl>) -> Result<Self> {
        let Some(url) = url else {
            return Ok(Self(None));
        };
        tls::install_provider();
        let origin = url.0.origin();
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
        let answer = self.client.get(self.url.0.clone()).send().await;
        // The error's own text may hold the URL, or where it redirects to.
        let answer = answer.map_err(|error| {
            let reason = if error.is_timeout() {
                format!("no answer within {TIME:?}")
            } else if error.is_connect() {
                "cannot connect".to_owned()
            } else {
                "no usable answer".to_owned()
            };
            format!("{:?}: {reason}", self.url)
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(format!(
            "{:?}: status {}",
            self.url,
            answer.status().as_u16()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_urls_are_taken_and_only_their_origin_is_shown() {
        for (text, shown) in [
            ("https://hc.example/ping/s3cret", "https://hc.example/…"),
            (
                "HTTP://user:s3cret@[::1]:8000/?s3cret",
                "http://[::1]:8000/…",
            ),
        ] {
            let url: HeartbeatUrl = text.parse().expect(text);
            assert_eq!(format!("{url:?}"), shown);
        }
        let long = format!("https://hc.example/{}", "x".repeat(MAX_BYTES));
        for text in [
            "",
            "hc.example",
            "ftp://hc.example",
            "https://",
            "http:host",
            &long,
        ] {
            assert_eq!(text.parse::<HeartbeatUrl>(), Err(EXPECTED), "{text}");
        }
    }
}
