//! Delivers new releases to webhooks: at least once each, the same id each time, in the order of
//! the release log.
//!
//! Each webhook has a task, so one that is down delays no other. A failed attempt is repeated, after
//! a wait that doubles from one second to five minutes, until it succeeds. Only the poller with the
//! lease delivers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::Utc;
use reqwest::{Client, header, redirect};
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};
use shared::catalogue::snapshot::Release;
use shared::log;
use shared::service::telemetry::{Lasting, Turn, clock, events};
use shared::service::tls;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message::{Message, SigningSecret};
use super::outbox::{Deliveries, Next};
use super::success;
use super::url::SecretUrl;

/// How long one attempt may take, connecting included.
const TIME: Duration = Duration::from_secs(10);

/// The wait after the first failed attempt, and the longest.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(5)];

/// The most webhooks.
const MOST: usize = 10;

/// Where to deliver releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookUrls(Vec<SecretUrl>);

impl FromStr for WebhookUrls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let urls = text.split([',', ' ']).filter(|url| !url.is_empty());
        let urls = urls
            .map(str::parse)
            .collect::<Result<Vec<SecretUrl>, _>>()?;
        if urls.len() > MOST {
            return Err(format!("{} URLs: expected {MOST} at most", urls.len()));
        }
        Ok(Self(urls))
    }
}

impl<'de> Deserialize<'de> for WebhookUrls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl WebhookUrls {
    /// The URLs.
    pub fn urls(&self) -> &[SecretUrl] {
        &self.0
    }

    /// The webhooks' names in the outbox: hashes, because the URLs are secrets.
    pub fn deliveries(&self) -> Deliveries {
        Deliveries::new(self.0.iter().map(name).collect())
    }
}

fn name(url: &SecretUrl) -> String {
    format!("{:x}", Sha256::digest(url.url().as_str()))[..16].to_owned()
}

/// How often webhooks were requested.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Attempts that succeeded.
    pub delivered: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
}

/// The tasks that deliver. They end when this is dropped.
pub struct Webhooks {
    deliveries: Deliveries,
    attempts: Arc<Attempts>,
    waiting: watch::Sender<Waiting>,
    _tasks: JoinSet<()>,
}

/// The messages that wait for each webhook, in the order of the webhooks.
type Waiting = Arc<[Vec<Message>]>;

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Webhooks").field(&self.deliveries).finish()
    }
}

impl Webhooks {
    /// Starts a task for each URL. Uses the usual proxy variables.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn start(
        urls: &WebhookUrls,
        secret: Option<&SigningSecret>,
        deliveries: &Deliveries,
    ) -> Result<Self> {
        let attempts = Arc::<Attempts>::default();
        let (waiting, _) = watch::channel(Waiting::default());
        let mut tasks = JoinSet::new();
        if let Some(secret) = secret.filter(|_| !urls.0.is_empty()) {
            tls::install_provider();
            let client = Client::builder()
                .user_agent(concat!("ghibli-mirror/", env!("CARGO_PKG_VERSION")))
                .timeout(TIME)
                // A receiver that moved has to say so to the operator.
                .redirect(redirect::Policy::none())
                .build()
                .context("cannot set up HTTPS for WEBHOOK_URLS")?;
            for (index, url) in urls.0.iter().enumerate() {
                let task = Task {
                    index,
                    name: name(url),
                    url: url.clone(),
                    secret: secret.clone(),
                    client: client.clone(),
                    deliveries: deliveries.clone(),
                    attempts: attempts.clone(),
                    trouble: Lasting::HOURLY,
                };
                tasks.spawn(task.run(waiting.subscribe()));
            }
        }
        Ok(Self {
            deliveries: deliveries.clone(),
            attempts,
            waiting,
            _tasks: tasks,
        })
    }

    /// Delivers what waits in the outbox that was just stored. `log` is the release log.
    pub fn deliver(&self, stored: &Next, log: &[Release]) {
        let of = |name: &String| {
            let ids = stored.outbox.get(name).map_or(&[][..], Vec::as_slice);
            let releases = log.iter().filter(|release| ids.contains(&release.id));
            releases.map(Message::new).collect()
        };
        self.set(self.deliveries.names().iter().map(of).collect());
        // Not before: a task would take what has been delivered for something new.
        self.deliveries.forget(stored);
    }

    /// How often webhooks were requested so far.
    pub fn attempts(&self) -> Arc<Attempts> {
        self.attempts.clone()
    }

    /// Delivers nothing more: another poller has the lease.
    pub fn pause(&self) {
        self.set(Waiting::default());
    }

    /// Wakes the tasks only for something new, so that a repeated look does not shorten a wait.
    fn set(&self, next: Waiting) {
        self.waiting.send_if_modified(|waiting| {
            let is_new = *waiting != next;
            *waiting = next;
            is_new
        });
    }
}

/// Delivers to one webhook.
struct Task {
    index: usize,
    name: String,
    url: SecretUrl,
    secret: SigningSecret,
    client: Client,
    deliveries: Deliveries,
    attempts: Arc<Attempts>,
    trouble: Lasting,
}

impl Task {
    async fn run(mut self, mut waiting: watch::Receiver<Waiting>) {
        let mut failed = 0_u64;
        let mut waits = waits();
        loop {
            let Some(message) = self.first(&waiting.borrow_and_update()) else {
                if waiting.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match self.attempt(&message).await {
                Ok(()) => {
                    self.delivered(&message, failed + 1);
                    (failed, waits) = (0, self::waits());
                }
                Err(reason) => {
                    failed += 1;
                    self.failed(&reason);
                    let wait = waits.next().unwrap_or(WAITS[1]);
                    // What is new may end the wait: the poller may have lost the lease.
                    if let Ok(Err(_)) = timeout(wait, waiting.changed()).await {
                        return;
                    }
                }
            }
        }
    }

    /// The first message that has not been delivered.
    fn first(&self, waiting: &Waiting) -> Option<Message> {
        let mut messages = waiting.get(self.index)?.iter();
        let is_due = |it: &&Message| !self.deliveries.is_done(&self.name, &it.film);
        messages.find(is_due).cloned()
    }

    async fn attempt(&self, message: &Message) -> Result<(), String> {
        let timestamp = Utc::now().timestamp();
        let request = self.client.post(self.url.url().clone());
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.secret.sign(message, timestamp)?)
            .body(message.body.clone());
        success(&self.url, TIME, request.send().await)
    }

    fn delivered(&mut self, message: &Message, attempts: u64) {
        self.deliveries.note(&self.name, &message.film);
        self.attempts.delivered.fetch_add(1, Ordering::Relaxed);
        let now = Utc::now();
        self.trouble.note(false, now, now);
        let (url, id) = (format!("{:?}", self.url), &message.id);
        log!(
            events::WEBHOOK_DELIVERED,
            url,
            id,
            attempts,
            "delivered {id} to {url}, in attempt {attempts}"
        );
    }

    fn failed(&mut self, reason: &str) {
        self.attempts.failed.fetch_add(1, Ordering::Relaxed);
        let now = Utc::now();
        if let Some((Turn::Begins | Turn::Lasts, since)) = self.trouble.note(true, now, now) {
            let url = format!("{:?}", self.url);
            log!(
                events::WEBHOOK_FAILING,
                url,
                reason,
                since = since.to_rfc3339(),
                "a webhook fails since {}; its releases wait, and are sent again: {reason}",
                clock(since)
            );
        }
    }
}

/// The waits after failed attempts in a row.
fn waits() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(WAITS[0])
        .with_max_delay(WAITS[1])
        .without_max_times()
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_separated_by_commas_or_blanks_and_bounded() {
        let urls: WebhookUrls = "https://a.example/x, http://b.example/y,"
            .parse()
            .expect("two");
        assert_eq!(
            format!("{:?}", urls.0),
            "[https://a.example/…, http://b.example/…]"
        );
        assert_ne!(name(&urls.0[0]), name(&urls.0[1]));
        assert!("https://a.example/x, b".parse::<WebhookUrls>().is_err());
        let many = "https://a.example ".repeat(MOST + 1);
        let error = many.parse::<WebhookUrls>().expect_err("too many");
        assert_eq!(error, "11 URLs: expected 10 at most");
    }

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let waits: Vec<_> = waits().take(12).collect();
        for (index, wait) in waits.iter().enumerate() {
            let least = WAITS[0].saturating_mul(1 << index).min(WAITS[1]);
            // Jitter adds less than the shortest wait, or at most doubles.
            assert!((least..=least * 2).contains(wait), "{index}: {wait:?}");
        }
    }
}
