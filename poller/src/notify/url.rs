//! URLs whose paths are secrets, as with most monitors and chats.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use url::Url;

/// The longest URL, in bytes.
const MAX_BYTES: usize = 2000;

const EXPECTED: &str = "expected a whole URL: http://HOST[:PORT]/PATH or https://…";

/// What to request. Shows only its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The URL for requests.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for SecretUrl {
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

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.0.origin().ascii_serialization())
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
            let url: SecretUrl = text.parse().expect(text);
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
            assert_eq!(text.parse::<SecretUrl>(), Err(EXPECTED), "{text}");
        }
    }
}
