//! The header fields that answers have in common. They are put together once, and those that show
//! the age of the data once a second, so that a request only copies them.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AGE, CACHE_CONTROL, CACHE_STATUS,
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use shared::catalogue::status::Status;

/// The headers that scripts on other origins may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Age, Cache-Status, ETag, Link, Retry-After, Server-Timing, X-Total-Count",
);

/// Holds the place of a field that every body has with a value of its own. A copy that needs no
/// more room is cheaper.
const PLACE: HeaderValue = HeaderValue::from_static("");

/// The highest `Age`, in seconds; the server sends a higher one as this (RFC 9111, section 1.2.2).
/// The time of the last sync comes from another machine's clock, which may be wrong.
const OLDEST: i64 = 1 << 31;

/// The fields of answers that do not depend on the catalogue.
pub(super) static PLAIN: LazyLock<Heads> =
    LazyLock::new(|| Heads::new(HeaderValue::from_static("no-cache"), HeaderMap::new()));

/// The fields of an answer, by what it carries.
#[derive(Debug)]
pub struct Heads {
    /// No body.
    pub(super) empty: HeaderMap,
    /// No body, because the client has it: 304.
    pub(super) unchanged: HeaderMap,
    /// A body. Its `ETag`, `Last-Modified`, `Content-Type` and `Content-Length` are still to be set.
    pub(super) whole: HeaderMap,
}

impl Heads {
    fn new(cache_control: HeaderValue, age: HeaderMap) -> Self {
        let mut empty = age;
        empty.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        empty.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        empty.insert(CACHE_CONTROL, cache_control);
        let mut unchanged = empty.clone();
        unchanged.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        unchanged.insert(ETAG, PLACE);
        unchanged.insert(LAST_MODIFIED, PLACE);
        let mut whole = unchanged.clone();
        whole.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        whole.insert(CONTENT_TYPE, PLACE);
        whole.insert(CONTENT_LENGTH, PLACE);
        Self {
            empty,
            unchanged,
            whole,
        }
    }
}

/// How current the catalogue is, and the fields that show it.
#[derive(Debug, Default)]
pub struct Freshness {
    confirmed_at: Option<DateTime<Utc>>,
    next_attempt_at: Option<DateTime<Utc>>,
    /// The fields of this second.
    dated: ArcSwapOption<Dated>,
}

#[derive(Debug)]
struct Dated {
    age: Option<i64>,
    ttl: Option<i64>,
    heads: Heads,
}

impl Freshness {
    /// What a status says.
    pub fn of(status: Option<&Status>) -> Self {
        Self {
            confirmed_at: status.and_then(Status::confirmed_at),
            next_attempt_at: status.and_then(|status| status.next_attempt_at),
            dated: ArcSwapOption::empty(),
        }
    }

    /// Calls `answer` with the fields of answers from the catalogue at a moment. They say how long
    /// ago a sync last confirmed it (`Age`, RFC 9111), and when the next sync is due
    /// (`Cache-Status`, RFC 9211; a negative `ttl` means overdue).
    pub(super) fn with_heads<T>(
        &self,
        now: DateTime<Utc>,
        cache_control: &HeaderValue,
        answer: impl FnOnce(&Heads) -> T,
    ) -> T {
        let age = self.confirmed_at.map(|it| (now - it).num_seconds());
        let age = age.map(|seconds| seconds.clamp(0, OLDEST));
        let ttl = self.next_attempt_at.map(|it| (it - now).num_seconds());
        if let Some(dated) = &*self.dated.load()
            && (dated.age, dated.ttl) == (age, ttl)
        {
            return answer(&dated.heads);
        }
        let heads = Heads::new(cache_control.clone(), fields(age, ttl));
        let dated = Arc::new(Dated { age, ttl, heads });
        self.dated.store(Some(dated.clone()));
        answer(&dated.heads)
    }
}

/// `Age` and `Cache-Status`.
fn fields(age: Option<i64>, ttl: Option<i64>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    if let Some(seconds) = age {
        fields.insert(AGE, seconds.into());
    }
    let ttl = ttl.map(|seconds| format!("; ttl={seconds}"));
    let detail = age.map_or("; detail=built-in", |_| "");
    let cache_status = format!("ghibli-mirror; hit{}{detail}", ttl.unwrap_or_default());
    let cache_status = HeaderValue::try_from(cache_status).expect("is ASCII");
    fields.insert(CACHE_STATUS, cache_status);
    fields
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn each_second_has_fields_of_its_own() {
        let now = Utc::now();
        let age = |confirmed_at: DateTime<Utc>, now| {
            let freshness = Freshness {
                confirmed_at: Some(confirmed_at),
                ..Freshness::default()
            };
            let no_cache = HeaderValue::from_static("no-cache");
            let shown = |now| {
                freshness.with_heads(now, &no_cache, |heads| {
                    assert_eq!(heads.empty[AGE], heads.whole[AGE]);
                    heads.unchanged[AGE].to_str().unwrap().to_owned()
                })
            };
            // The fields of another second are not shown again.
            shown(now + TimeDelta::seconds(7));
            shown(now)
        };
        assert_eq!(age(now - TimeDelta::milliseconds(2999), now), "2");
        assert_eq!(age(now + TimeDelta::hours(1), now), "0");
        assert_eq!(
            age("0001-01-01T00:00:00Z".parse().unwrap(), now),
            "2147483648"
        );
    }
}
