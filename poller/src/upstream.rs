//! HTTP to the upstream: one conditional GET per collection, with a limit on everything.
//!
//! Sends requests only to the upstream's own origin, whatever redirects say, and never fetches URLs
//! found in data. Does not know snapshots or the cache.

mod coding;
mod excerpt;
mod failure;
pub mod limits;

use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use shared::catalogue::{Collection, Listing};
use shared::service::config::BaseUrl;
use tokio::time::timeout;

pub use excerpt::Excerpt;
pub use failure::{Failure, FetchError};

use coding::Decoder;
use excerpt::EXCERPT_BYTES;
use failure::NotFollowed;

/// How long making a connection may take, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How many redirects to follow within the upstream's origin.
const MAX_REDIRECTS: usize = 3;

/// How many times to retry a failed request in one cycle; the next cycle comes soon.
const RETRIES: usize = 2;

/// How long to wait for the body of an error; only its first words are shown.
const EXCERPT_TIME: Duration = Duration::from_secs(1);

/// The client for one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamClient {
    client: Client,
    base: BaseUrl,
    may_quote: bool,
}

/// What a request for one collection yielded.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// Unchanged: the validator is still valid.
    NotModified,
    /// The collection's new content.
    Sent {
        /// The records.
        listing: Listing,
        /// The validator for the next request.
        etag: Option<String>,
        /// What the answer looked like, for the reason if the mirror rejects it.
        seen: String,
    },
    /// No collection: no answer, or one that the poller cannot use.
    Failed(FetchError),
}

impl Fetched {
    /// Why it failed, if it did.
    pub const fn error(&self) -> Option<&FetchError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::NotModified | Self::Sent { .. } => None,
        }
    }
}

impl UpstreamClient {
    /// Creates a client for the upstream at `base`. Uses the usual proxy variables.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base: BaseUrl, timeout: Duration) -> reqwest::Result<Self> {
        Self::with(Client::builder(), base, timeout)
    }

    /// Creates a client that uses no proxy, for an upstream on this machine.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn direct(base: BaseUrl, timeout: Duration) -> reqwest::Result<Self> {
        Self::with(Client::builder().no_proxy(), base, timeout)
    }

    fn with(client: ClientBuilder, base: BaseUrl, timeout: Duration) -> reqwest::Result<Self> {
        let origin = base.url().origin();
        let within_origin = redirect::Policy::custom(move |attempt| {
            let followed = attempt.previous().len() <= MAX_REDIRECTS;
            if followed && attempt.url().origin() == origin {
                attempt.follow()
            } else {
                let leads_away = attempt.url().origin() != origin;
                let not_followed = NotFollowed {
                    status: attempt.status().as_u16(),
                    to: attempt.url().clone(),
                    leads_away,
                };
                attempt.error(not_followed)
            }
        });
        let client = client
            .user_agent(concat!("ghibli-mirror/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(within_origin)
            .referer(false)
            // Longer than the minute between syncs, so that the next sync needs no handshake.
            .pool_idle_timeout(Duration::from_secs(90))
            .build()?;
        let may_quote = excerpt::may_quote(&base);
        Ok(Self {
            client,
            base,
            may_quote,
        })
    }

    /// The base URL of the requests.
    pub const fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Fetches a collection, unless `etag` is still valid. Retries temporary failures, with jitter.
    pub async fn fetch(&self, collection: Collection, etag: Option<&str>) -> Fetched {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_times(RETRIES)
            .with_jitter();
        (|| self.fetch_once(collection, etag))
            .retry(backoff)
            .when(FetchError::is_retryable)
            .await
            .unwrap_or_else(Fetched::Failed)
    }

    async fn fetch_once(
        &self,
        collection: Collection,
        etag: Option<&str>,
    ) -> Result<Fetched, FetchError> {
        let mut url = self.base.url().clone();
        url.set_path(&format!(
            "{}/{collection}",
            url.path().trim_end_matches('/')
        ));
        let mut request = self.client.get(url.clone());
        request = request.header(ACCEPT, "application/json");
        request = request.header(ACCEPT_ENCODING, coding::ACCEPTED);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await;
        let response = response.map_err(|error| FetchError::of_request(&error, self.may_quote))?;
        let seen = Excerpt::head(&response, &url, self.may_quote);
        let failure = match response.status() {
            StatusCode::OK => return read(response, seen).await,
            StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Fetched::NotModified),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                if response.headers().contains_key(RETRY_AFTER) =>
            {
                Failure::RateLimited(retry_after(response.headers()))
            }
            StatusCode::TOO_MANY_REQUESTS => Failure::RateLimited(None),
            status => Failure::Status(status.as_u16()),
        };
        Err(failure.in_answer(seen.with(&excerpt(response).await)))
    }
}

/// Reads a collection. Counts its decompressed bytes, because the declared length does not include
/// them.
async fn read(mut response: Response, seen: Excerpt) -> Result<Fetched, FetchError> {
    let etag = text_of(response.headers(), &ETAG);
    let mut decoder = match Decoder::of(response.headers(), limits::MAX_BYTES) {
        Ok(decoder) => decoder,
        Err(coding) => {
            let seen = seen.with(format!("Content-Encoding: {coding}").as_bytes());
            return Err(Failure::UnknownCoding.in_answer(seen));
        }
    };
    let body = match unpack(&mut response, &mut decoder).await {
        Ok(body) => body,
        Err((failure, piece)) => {
            let unpacked = decoder.so_far();
            let words = if unpacked.is_empty() {
                &piece
            } else {
                unpacked
            };
            return Err(failure.in_answer(seen.with(words)));
        }
    };
    let seen = seen.with(&body);
    if let Err(exceeded) = limits::check(&body) {
        return Err(Failure::TooLarge(exceeded).in_answer(seen));
    }
    match Listing::read(&body) {
        Ok(listing) => Ok(Fetched::Sent {
            listing,
            etag,
            seen: seen.to_string(),
        }),
        Err(rejection) => Err(Failure::Rejected(rejection).in_answer(seen)),
    }
}

/// Returns the failure, with the part of the body that could not be unpacked.
async fn unpack(
    response: &mut Response,
    decoder: &mut Decoder,
) -> Result<Vec<u8>, (Failure, Bytes)> {
    let broken = |error| (Failure::of_transfer(&error), Bytes::new());
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        let unpacked = decoder.write(&piece);
        unpacked.map_err(|error| (Failure::of_decoder(&error), piece))?;
    }
    let whole = decoder.finish();
    whole.map_err(|error| (Failure::of_decoder(&error), Bytes::new()))
}

/// The beginning of an error's body: what arrives within a moment and can be unpacked.
async fn excerpt(mut response: Response) -> Vec<u8> {
    let Ok(mut decoder) = Decoder::of(response.headers(), EXCERPT_BYTES) else {
        return Vec::new();
    };
    match timeout(EXCERPT_TIME, unpack(&mut response, &mut decoder)).await {
        Ok(Ok(whole)) => whole,
        _ => decoder.so_far().to_vec(),
    }
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
