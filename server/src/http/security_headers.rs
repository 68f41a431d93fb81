//! The security headers of pages. They make the browser refuse scripts, resources and frames that
//! a page does not need, and keep the page from leaking information.
//!
//! Decides which answers carry them. The pages need a stylesheet and an icon of their own origin,
//! and inline scripts, which the policy allows by their hashes. Any other script in their place does
//! not run, and the browser loads no body of this origin (JSONP!) as a script.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::pages::SCRIPTS;

/// What pages may run and load. The scripts request pages of this origin.
static CONTENT: LazyLock<HeaderValue> = LazyLock::new(|| content("'self'"));

/// The same for pages with posters, which are at other hosts.
static WITH_POSTERS: LazyLock<HeaderValue> = LazyLock::new(|| content("'self' https:"));

fn content(pictures: &str) -> HeaderValue {
    let hash = |script| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
    let scripts = SCRIPTS.map(hash).join(" ");
    let policy = format!(
        "default-src 'none'; script-src {scripts}; connect-src 'self'; \
         style-src 'self'; img-src {pictures}; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("is ASCII")
}

/// The other headers, for every answer with HTML and every 304 in place of one.
const PAGE: [(HeaderName, HeaderValue); 3] = [
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // A page that opens this one in a new window cannot control that window.
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // All features that ask the user for something, or that reveal the user or the device.
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), \
             fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
             magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
             publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), \
             xr-spatial-tracking=()",
        ),
    ),
];

/// Adds the policies to an answer if `content_type` is HTML.
///
/// A 304 repeats them, though it need not (RFC 9110, section 15.4.5): its headers replace those
/// that the client has stored (RFC 9111, section 4.3.4). So a stricter policy also reaches clients
/// that have stored an unchanged page.
pub(crate) fn protect(headers: &mut HeaderMap, content_type: &str) {
    if content_type.starts_with("text/html") {
        headers.insert(CONTENT_SECURITY_POLICY, CONTENT.clone());
        headers.extend(PAGE);
    }
}

/// Lets a page load posters.
pub(crate) fn allow_posters(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, WITH_POSTERS.clone());
}
