//! What an answer looked like, so that operators can see why it was rejected.

use std::fmt;

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use shared::service::config::BaseUrl;
use url::Url;

use crate::printable::printable;

/// How many characters of a body to show.
const MOST: usize = 80;

/// How many characters of a header and of an address to show.
const MOST_OF_A_HEADER: usize = 120;

/// How many bytes of a body to examine.
pub(super) const EXCERPT_BYTES: usize = 4 << 10;

/// Status, content type, target of redirects, and the first words. All but the status is the
/// upstream's own text. It is left out if the request carried a password, because an upstream may
/// repeat the password in forms that the poller could not recognise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    status: u16,
    quotes: Option<Vec<String>>,
}

impl Excerpt {
    /// What is known before the body arrives.
    pub(super) fn head(response: &Response, asked: &Url, may_quote: bool) -> Self {
        let header = |name| {
            let value: &HeaderValue = response.headers().get(name)?;
            let value = String::from_utf8_lossy(value.as_bytes());
            Some(printable(&value, MOST_OF_A_HEADER))
        };
        let mut quotes: Vec<_> = header(CONTENT_TYPE).into_iter().collect();
        let led_to = if response.url().path() != asked.path() || response.url().query().is_some() {
            Some(address(response.url()))
        } else {
            header(LOCATION).filter(|_| response.status().is_redirection())
        };
        quotes.extend(led_to.map(|address| format!("redirected to {address}")));
        Self {
            status: response.status().as_u16(),
            quotes: may_quote.then_some(quotes),
        }
    }

    /// A redirect that the client did not follow.
    pub(super) fn redirect(status: u16, to: &Url, may_quote: bool) -> Self {
        let quotes = vec![format!("redirected to {}", address(to))];
        Self {
            status,
            quotes: may_quote.then_some(quotes),
        }
    }

    /// Adds the beginning of the body.
    pub(super) fn with(mut self, body: &[u8]) -> Self {
        if let Some(quotes) = &mut self.quotes {
            quotes.extend(first_words(body).map(|words| format!("\"{words}\"")));
        }
        self
    }

    /// Everything but the status.
    pub(super) fn quotes(&self) -> String {
        match &self.quotes {
            Some(quotes) if quotes.is_empty() => "without a body".to_owned(),
            Some(quotes) => quotes.join(", "),
            None => "not quoted, as a password was sent".to_owned(),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, {}", self.status, self.quotes())
    }
}

/// Whether the answer may be quoted: not if its sender, the upstream or a proxy, got a password.
pub(super) fn may_quote(base: &BaseUrl) -> bool {
    let has_user = !base.url().username().is_empty() || base.url().password().is_some();
    let proxies = ["http_proxy", "https_proxy", "all_proxy"];
    let mut environment = std::env::vars_os();
    let is_proxy_with_user = environment.any(|(name, value)| {
        let name = name.to_string_lossy().to_lowercase();
        proxies.contains(&name.as_str()) && value.to_string_lossy().contains('@')
    });
    !has_user && !is_proxy_with_user
}

/// An address without user and password; the upstream may have invented them.
fn address(url: &Url) -> String {
    let mut url = url.clone();
    // Both calls fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    printable(url.as_str(), MOST_OF_A_HEADER)
}

/// The part that a person would read first: a page's title, or the beginning of other text.
fn first_words(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]);
    let is_page = text.trim_start().starts_with('<');
    let title = is_page.then(|| title(&text)).flatten();
    let words = printable(title.unwrap_or(&text), MOST);
    (!words.is_empty()).then_some(words)
}

fn title(page: &str) -> Option<&str> {
    // A change of case does not change the length of ASCII text.
    let lower = page.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let begin = tag + lower[tag..].find('>')? + 1;
    let end = lower[begin..]
        .find('<')
        .map_or(page.len(), |end| begin + end);
    Some(&page[begin..end]).filter(|title| !title.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &str) -> Option<String> {
        first_words(body.as_bytes())
    }

    #[test]
    fn a_page_is_known_by_its_title_and_other_text_by_its_beginning() {
        let page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                    <TITLE id=x>\n Vercel Security\tCheckpoint </TITLE>";
        for (body, shown) in [
            (page, "Vercel Security Checkpoint"),
            (
                "<html><title></title><p>paused</p>",
                "<html><title></title><p>paused</p>",
            ),
            ("<html><title>cut of", "cut of"),
            ("<html><title", "<html><title"),
            (
                "Payment required\n\nDEPLOYMENT_DISABLED\n",
                "Payment required DEPLOYMENT_DISABLED",
            ),
            (
                "{\"title\": \"<title>x</title>\"}",
                "{\"title\": \"<title>x</title>\"}",
            ),
            ("\u{1b}]0;owned\u{7}", r"\u{1b}]0;owned\u{7}"),
        ] {
            assert_eq!(words(body).as_deref(), Some(shown), "{body}");
        }
        assert_eq!(words(" \n"), None);
        assert_eq!(
            first_words(b"\x1f\x8b\x08"),
            Some(r"\u{1f}�\u{8}".to_owned())
        );
        assert_eq!(words(&"x".repeat(100)), Some("x".repeat(80) + "…"));
    }

    #[test]
    fn addresses_are_shown_without_passwords_and_shortened() {
        let shown = |url: &str| address(&url.parse().unwrap());
        assert_eq!(shown("http://u:s3cret@host/films"), "http://host/films");
        assert!(shown(&format!("http://host/{}", "x".repeat(9999))).len() < 130);
    }
}
