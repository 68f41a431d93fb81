//! URLs that paths are appended to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use url::Url;

const EXPECTED: &str =
    "expected http://HOST[:PORT] or https://HOST[:PORT], without a query and without a #";

/// The longest base URL, in bytes; every link in the data repeats it.
const MAX_BYTES: usize = 1000;

/// An `http` or `https` URL that paths are appended to, kept without a trailing slash.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Reads a base URL. Refuses one if `is_below` says that the last part of its path belongs
    /// below a base.
    ///
    /// # Errors
    /// When the text is not a base URL. The message suggests a URL, and repeats nothing of a text
    /// that may hold credentials.
    pub fn read(text: &str, is_below: impl Fn(&str) -> bool) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("{EXPECTED}, of at most {MAX_BYTES} bytes"));
        }
        let url = Url::parse(&with_scheme(text)).map_err(|_| EXPECTED)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EXPECTED.into());
        }
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if text.contains('@') && !has_credentials {
            return Err(format!(
                "{EXPECTED}; in a password / ? # and @ are percent-encoded"
            ));
        }
        let mut base = url.clone();
        base.set_query(None);
        base.set_fragment(None);
        let path = url.path().trim_end_matches('/');
        if let Some((above, last)) = path.rsplit_once('/')
            && is_below(last)
        {
            base.set_path(above);
        }
        if base == url && is_written_out(text) {
            Ok(Self(url))
        } else if has_credentials {
            Err(EXPECTED.into())
        } else {
            Err(format!("{EXPECTED}; {} is probably meant", Self(base)))
        }
    }

    /// The URL of a path below this one; `path` begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The URL for requests, with credentials if it has any.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

/// Returns the text; adds `http://` or `https://` if it has no scheme.
fn with_scheme(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if text.contains("://") || lower.starts_with("http:") || lower.starts_with("https:") {
        return text.to_owned();
    }
    let text = text.trim_start_matches('/');
    let host = text.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let is_near = !host.contains('.') || host.parse::<IpAddr>().is_ok();
    format!("http{}://{text}", if is_near { "" } else { "s" })
}

/// The URL parser also accepts `http:host`, `http:///host` and blanks, and guesses a URL from them.
fn is_written_out(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let scheme = ["http://", "https://"];
    let rest = scheme.iter().find_map(|scheme| lower.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

/// Without credentials.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // Both calls fail only for URLs without a host, which cannot have credentials.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        f.write_str(shown.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, |_| false)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_no_trailing_slash_and_shows_no_credentials() {
        let url: BaseUrl = "https://u:s3cret@ghibli.example/mirror/".parse().unwrap();
        assert_eq!(url.join("/films"), "https://ghibli.example/mirror/films");
        assert!("ftp://ghibli.example".parse::<BaseUrl>().is_err());
        assert!("ghibli.example".parse::<BaseUrl>().is_err());
    }

    #[test]
    fn what_is_no_base_is_refused_with_the_url_that_is_probably_meant() {
        for (text, meant) in [
            ("http://host/#tag/Films", "http://host"),
            ("https://host/api?limit=3#x", "https://host/api"),
            ("https://host/?", "https://host"),
            ("https://host/#", "https://host"),
            (
                "https://ghibliapi.vercel.app/films",
                "https://ghibliapi.vercel.app",
            ),
            ("https://host/api/films/?limit=3", "https://host/api"),
            ("ghibliapi.vercel.app", "https://ghibliapi.vercel.app"),
            ("ghibliapi.vercel.app/films", "https://ghibliapi.vercel.app"),
            ("//host.example/", "https://host.example"),
            ("localhost:3000", "http://localhost:3000"),
            ("127.0.0.1:3000/#", "http://127.0.0.1:3000"),
            ("upstream", "http://upstream"),
            ("http:host", "http://host"),
            ("http:///host", "http://host"),
        ] {
            let error = BaseUrl::read(text, |last| last == "films").unwrap_err();
            assert_eq!(
                error,
                format!("{EXPECTED}; {meant} is probably meant"),
                "{text}"
            );
        }
        for text in ["https://host/films/api", "http://[::1]:81/a", "HTTP://HOST"] {
            let read = BaseUrl::read(text, |last| last == "films");
            assert_eq!(read.unwrap().to_string(), text.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_base_url_is_bounded() {
        let of_length = |length: usize| format!("http://host/{}", "a".repeat(length - 12));
        assert!(of_length(MAX_BYTES).parse::<BaseUrl>().is_ok());
        assert!(of_length(MAX_BYTES + 1).parse::<BaseUrl>().is_err());
    }

    #[test]
    fn nothing_is_repeated_of_what_may_hold_a_password() {
        for text in [
            "https://u:s3cret@host/?query",
            "https://u:s3cret@host/#x",
            "https://u:12#s3cret@host",
            "https://s3cret/x@host",
            "u:s3cret@host",
            "s3cret@host",
            "ftp://u:s3cret@host",
            "https://u:s3cret@",
        ] {
            let error = BaseUrl::read(text, |last| last == "films").unwrap_err();
            assert!(
                error.starts_with(EXPECTED) && !error.contains("s3cret"),
                "{error}"
            );
            assert!(!error.contains("meant"), "{error}");
        }
    }
}
