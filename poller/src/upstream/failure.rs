//! The ways in which an upstream can fail to send a collection, each with its own message.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::Url;
use shared::catalogue::Rejection;

use super::excerpt::Excerpt;
use crate::printable::printable;
use crate::upstream::limits::Exceeded;

/// How many characters of a library's message to show. Certificates contain names that anybody may
/// have chosen.
const MOST: usize = 300;

/// Why the poller could not fetch one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    /// What happened.
    pub failure: Failure,
    /// The answer, if there was one.
    pub seen: Option<Excerpt>,
}

/// What happened instead of a usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No connection before the time ran out.
    #[error("unreachable: no connection in time")]
    NoConnection,
    /// The connection broke before an answer began, or in the middle of it.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The body is not in the coding that its headers name.
    #[error("the answer cannot be unpacked: {0}")]
    Garbled(String),
    /// The upstream was slower than `UPSTREAM_TIMEOUT` allows.
    #[error("no complete answer in time")]
    TimedOut,
    /// The upstream asks the poller to wait.
    #[error("rate limited{}", .0.map(|wait| format!(", asks to wait {wait:?}")).unwrap_or_default())]
    RateLimited(Option<Duration>),
    /// The status is an error.
    #[error("status {0}")]
    Status(u16),
    /// A redirect to another origin.
    #[error("redirected away from the upstream's origin")]
    RedirectedAway,
    /// Too many redirects.
    #[error("redirected too often")]
    RedirectedTooOften,
    /// Larger than any real collection.
    #[error("{0}")]
    TooLarge(#[from] Exceeded),
    /// A coding that the poller did not ask for.
    #[error("packed in another way than gzip or br, which were asked for")]
    UnknownCoding,
    /// A body that is not a collection.
    #[error("{0}")]
    Rejected(#[from] Rejection),
}

/// A redirect that the client's policy did not follow.
#[derive(Debug, thiserror::Error)]
#[error("not followed")]
pub(super) struct NotFollowed {
    pub(super) status: u16,
    pub(super) to: Url,
    pub(super) leads_away: bool,
}

impl Failure {
    /// Adds what the answer looked like.
    pub(super) const fn in_answer(self, seen: Excerpt) -> FetchError {
        FetchError {
            failure: self,
            seen: Some(seen),
        }
    }
}

impl FetchError {
    /// Whether the same request may succeed a moment later.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.failure,
            Failure::Unreachable(_)
                | Failure::Broken(_)
                | Failure::Garbled(_)
                | Failure::Status(500..=599)
        )
    }

    /// Whether there was no useful answer at all, so that the poller should wait a while.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self.failure,
            Failure::Unreachable(_)
                | Failure::NoConnection
                | Failure::Broken(_)
                | Failure::Garbled(_)
                | Failure::TimedOut
                | Failure::RateLimited(_)
                | Failure::Status(_)
        )
    }

    /// Whether a complete answer with a good status arrived that cannot be accepted.
    pub const fn is_rejection(&self) -> bool {
        matches!(
            self.failure,
            Failure::TooLarge(_) | Failure::UnknownCoding | Failure::Rejected(_)
        )
    }

    /// How long the upstream asks the poller to wait.
    pub const fn asked_for(&self) -> Option<Duration> {
        if let Failure::RateLimited(wait) = self.failure {
            wait
        } else {
            None
        }
    }

    /// A request without an answer, or with a redirect that the client does not follow.
    pub(super) fn of_request(error: &reqwest::Error, may_quote: bool) -> Self {
        if let Some(redirect) = find::<NotFollowed>(error) {
            let failure = if redirect.leads_away {
                Failure::RedirectedAway
            } else {
                Failure::RedirectedTooOften
            };
            return failure.in_answer(Excerpt::redirect(redirect.status, &redirect.to, may_quote));
        }
        let failure = if error.is_redirect() {
            Failure::RedirectedAway
        } else if error.is_timeout() && error.is_connect() {
            Failure::NoConnection
        } else if error.is_connect() {
            Failure::Unreachable(innermost(error))
        } else {
            Failure::of_transfer(error)
        };
        failure.into()
    }
}

impl Failure {
    /// A transfer that ended too early.
    pub(super) fn of_transfer(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Broken(innermost(error))
        }
    }

    /// A body that could not be unpacked, or that exceeds the limit.
    pub(super) fn of_decoder(error: &std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        inner.copied().map_or_else(
            || Self::Garbled(printable(&error.to_string(), MOST)),
            Self::TooLarge,
        )
    }
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            seen: None,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = &self.failure;
        match (&self.seen, failure) {
            (None, _) => failure.fmt(f),
            (Some(seen), Failure::Status(_)) => write!(f, "{failure} ({})", seen.quotes()),
            (Some(seen), _) => write!(f, "{failure} ({seen})"),
        }
    }
}

impl Error for FetchError {}

/// The outer errors only repeat the URL; the innermost one says what happened.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    printable(&innermost.to_string(), MOST)
}

fn find<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_whether_to_try_again_and_whether_anybody_answered() {
        let wait = Some(Duration::from_secs(7));
        for (failure, is_retryable, is_silence, is_rejection) in [
            (Failure::Unreachable("refused".into()), true, true, false),
            (Failure::NoConnection, false, true, false),
            (Failure::Broken("reset".into()), true, true, false),
            (
                Failure::Garbled("invalid gzip header".into()),
                true,
                true,
                false,
            ),
            (Failure::TimedOut, false, true, false),
            (Failure::RateLimited(wait), false, true, false),
            (Failure::Status(404), false, true, false),
            (Failure::Status(500), true, true, false),
            (Failure::RedirectedAway, false, false, false),
            (Failure::RedirectedTooOften, false, false, false),
            (Failure::TooLarge(Exceeded::Bytes), false, false, true),
            (Failure::UnknownCoding, false, false, true),
            (Failure::Rejected(Rejection::Empty), false, false, true),
        ] {
            let asked_for = wait.filter(|_| matches!(failure, Failure::RateLimited(_)));
            let error = FetchError::from(failure);
            assert_eq!(error.is_retryable(), is_retryable, "{error}");
            assert_eq!(error.is_silence(), is_silence, "{error}");
            assert_eq!(error.is_rejection(), is_rejection, "{error}");
            assert_eq!(error.asked_for(), asked_for, "{error}");
        }
    }
}
