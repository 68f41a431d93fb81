//! HTTP to the upstream: one conditional GET per collection, with a limit on everything.
//!
//! Requests go to the upstream's own origin and nowhere else, whatever redirects say; URLs found
//! in data are never fetched. Knows nothing of snapshots and of the cache.

use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{ACCEPT, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use shared::catalogue::{Answer, Collection, Rejection};
use shared::config::BaseUrl;

use crate::limits::{self, Exceeded};

/// How long making a connection may take, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How many redirects are followed within the upstream's origin.
const MAX_REDIRECTS: usize = 3;

/// How many further tries a failed request gets within one cycle; the next cycle comes soon.
const RETRIES: usize = 2;

/// The upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client,
    base: BaseUrl,
}

/// What the upstream said of one collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// It is still what the validator stands for.
    NotModified,
    /// It is this now.
    Sent {
        /// The records.
        answer: Answer,
        /// The validator for next time.
        etag: Option<String>,
    },
}

/// Why one collection could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, or a connection that broke.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Too slow; `UPSTREAM_TIMEOUT` says how slow that is.
    #[error("no complete answer in time")]
    TimedOut,
    /// The upstream asks for patience.
    #[error("rate limited{}", .0.map(|wait| format!(", asks to wait {wait:?}")).unwrap_or_default())]
    RateLimited(Option<Duration>),
    /// A status that is no answer.
    #[error("status {0}")]
    Status(u16),
    /// A redirect that leads to another origin, or in circles.
    #[error("redirected too often, or away from the upstream's origin")]
    Redirected,
    /// More than anybody's collection.
    #[error("{0}")]
    TooLarge(#[from] Exceeded),
    /// A body that is no collection.
    #[error("{0}")]
    Rejected(#[from] Rejection),
}

impl FetchError {
    /// Whether the same request may well succeed a moment later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Status(500..=599))
    }

    /// Whether the upstream said nothing of use at all, so that it should be left alone a while.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::TimedOut | Self::RateLimited(_) | Self::Status(_)
        )
    }

    /// How long the upstream asks to be left alone.
    pub const fn asked_for(&self) -> Option<Duration> {
        if let Self::RateLimited(wait) = self {
            *wait
        } else {
            None
        }
    }
}

impl Upstream {
    /// A client for the upstream at `base`. Honours the usual proxy variables.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base: BaseUrl, timeout: Duration) -> reqwest::Result<Self> {
        let origin = base.url().origin();
        let within_origin = redirect::Policy::custom(move |attempt| {
            let followed = attempt.previous().len() <= MAX_REDIRECTS;
            if followed && attempt.url().origin() == origin {
                attempt.follow()
            } else {
                attempt.error("not followed")
            }
        });
        let client = Client::builder()
            .user_agent(concat!("ghibli-mirror/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(within_origin)
            .referer(false)
            // Longer than the minute between syncs, so that a quiet sync needs no handshake.
            .pool_idle_timeout(Duration::from_secs(90))
            .build()?;
        Ok(Self { client, base })
    }

    /// Where requests go.
    pub const fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Fetches a collection, unless it is still what `etag` stands for. Passing failures are
    /// tried again, with jitter.
    ///
    /// # Errors
    /// A [`FetchError`] for each way in which an upstream can fail to send a collection.
    pub async fn fetch(
        &self,
        collection: Collection,
        etag: Option<&str>,
    ) -> Result<Fetched, FetchError> {
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_times(RETRIES)
            .with_jitter();
        (|| self.fetch_once(collection, etag))
            .retry(patience)
            .when(FetchError::is_retryable)
            .await
    }

    async fn fetch_once(
        &self,
        collection: Collection,
        etag: Option<&str>,
    ) -> Result<Fetched, FetchError> {
        let url = format!(
            "{}/{collection}",
            self.base.url().as_str().trim_end_matches('/')
        );
        let mut request = self.client.get(url).header(ACCEPT, "application/json");
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(|error| classify(&error))?;
        match response.status() {
            StatusCode::OK => {
                let etag = text_of(response.headers(), &ETAG);
                let body = bounded_body(response).await?;
                limits::check(&body)?;
                let answer = Answer::read(&body)?;
                Ok(Fetched::Sent { answer, etag })
            }
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Fetched::NotModified),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                if response.headers().contains_key(RETRY_AFTER) =>
            {
                Err(FetchError::RateLimited(retry_after(response.headers())))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(FetchError::RateLimited(None)),
            status => Err(FetchError::Status(status.as_u16())),
        }
    }
}

/// Reads a body while counting its decompressed bytes; the declared length says nothing of them.
async fn bounded_body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > limits::MAX_BYTES {
            return Err(Exceeded::Bytes.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text_of(headers, &RETRY_AFTER)?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(&text)
        .ok()?
        .duration_since(SystemTime::now())
        .ok()
}

fn text_of(headers: &HeaderMap, name: &reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn classify(error: &reqwest::Error) -> FetchError {
    if error.is_redirect() {
        FetchError::Redirected
    } else if error.is_timeout() {
        FetchError::TimedOut
    } else {
        // The outer layers only repeat the URL; the innermost says what happened.
        let mut innermost: &dyn std::error::Error = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        FetchError::Unreachable(innermost.to_string())
    }
}
