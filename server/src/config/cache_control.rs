//! The `Cache-Control` header: how long caches may keep an answer.

use http::HeaderValue;
use serde::Deserialize;

/// Response directives without a value (RFC 9111, section 5.2.2; RFC 8246).
const ALONE: [&str; 9] = [
    "immutable",
    "must-revalidate",
    "must-understand",
    "no-cache",
    "no-store",
    "no-transform",
    "private",
    "proxy-revalidate",
    "public",
];

/// Response directives with a number of seconds (RFC 9111, section 5.2.2; RFC 5861).
const TIMED: [&str; 4] = [
    "max-age",
    "s-maxage",
    "stale-if-error",
    "stale-while-revalidate",
];

/// The highest number of seconds that a cache must support (RFC 9111, section 1.2.2).
const MOST_SECONDS: u32 = 1 << 31;

/// The value of a `Cache-Control` header, made of directives that caches know. A cache ignores a
/// directive that it does not know, so a misspelt one would change what the header means.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct CacheControl(pub HeaderValue);

impl Default for CacheControl {
    fn default() -> Self {
        Self(HeaderValue::from_static("no-cache"))
    }
}

impl TryFrom<String> for CacheControl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut seen = Vec::new();
        for directive in text.split(',').map(str::trim) {
            let (name, seconds) = match directive.split_once('=') {
                Some((name, seconds)) => (name, Some(seconds)),
                None => (directive, None),
            };
            let name = name.to_ascii_lowercase();
            let is_right = match seconds {
                None => ALONE.contains(&name.as_str()),
                Some(seconds) => TIMED.contains(&name.as_str()) && is_time(seconds),
            };
            if !is_right || seen.contains(&name) {
                return Err(expected(directive));
            }
            seen.push(name);
        }
        HeaderValue::try_from(&text)
            .map(Self)
            .map_err(|_| expected(""))
    }
}

fn is_time(text: &str) -> bool {
    // `parse` would accept a plus sign; the header does not.
    text.bytes().all(|byte| byte.is_ascii_digit())
        && text
            .parse()
            .is_ok_and(|seconds: u32| seconds <= MOST_SECONDS)
}

fn expected(found: &str) -> String {
    let expected = format!(
        "expected a Cache-Control header such as `public, max-age=60`, made of {}, each once; or of \
         {} with =SECONDS",
        ALONE.join(", "),
        TIMED.join(", ")
    );
    if is_time(found) && !found.is_empty() {
        format!("{expected}; `max-age={found}` is probably meant")
    } else {
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_caches_understand_is_taken_as_it_is() {
        for text in [
            "no-cache",
            "public, max-age=60",
            "Public,MAX-AGE=0 , immutable",
            "s-maxage=2147483648, stale-while-revalidate=30, stale-if-error=86400",
        ] {
            assert_eq!(CacheControl::try_from(text.to_owned()).unwrap().0, text);
        }
    }

    #[test]
    fn what_caches_would_pass_over_is_refused_with_what_is_right() {
        for text in [
            "60",
            "no_cache",
            "max_age=60",
            "max-age",
            "max-age=",
            "max-age=1h",
            "max-age=+60",
            "max-age=-1",
            "max-age=2147483649",
            "max-age=\"60\"",
            "public max-age=60",
            "public; max-age=60",
            "public,",
            "public=1",
            "max-age=60, max-age=0",
            "Cache-Control: no-cache",
            "café",
        ] {
            let refusal = CacheControl::try_from(text.to_owned()).expect_err(text);
            assert!(
                refusal.contains("such as `public, max-age=60`"),
                "{refusal}"
            );
        }
        let refusal = CacheControl::try_from("60".to_owned()).unwrap_err();
        assert!(
            refusal.ends_with("`max-age=60` is probably meant"),
            "{refusal}"
        );
    }
}
