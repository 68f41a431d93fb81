//! What a browser is told to refuse: the one place with the headers that keep a page from running,
//! loading, being framed by or telling anything that it should not.
//!
//! Owns which answers have them. The pages need a stylesheet and an icon of their own origin, and
//! one script, which stands in the page and is allowed by its hash: any other text in its place
//! does not run, and no body of this origin (JSONP!) can be loaded as a script.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::pages::SCRIPT;

/// What pages may run and load. The script asks its own page for the age of the data.
static CONTENT: LazyLock<HeaderValue> = LazyLock::new(|| {
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; connect-src 'self'; \
         style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("is ASCII")
});

/// What every other header is, on every answer with HTML, a 304 that stands for one included.
const PAGE: [(HeaderName, HeaderValue); 3] = [
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // A page that opens this one in a window of its own gets no hold of that window.
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // Whatever asks people for something, or tells of them or of their device.
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

/// Puts a page's policies on an answer whose body is of this type, where that is HTML.
///
/// A 304 repeats them, though it need not (RFC 9110, section 15.4.5): what it says replaces what
/// the client has stored (RFC 9111, section 4.3.4), and so a stricter policy reaches also those
/// who keep a page that did not change.
pub(crate) fn protect(headers: &mut HeaderMap, content_type: &str) {
    if content_type.starts_with("text/html") {
        headers.insert(CONTENT_SECURITY_POLICY, CONTENT.clone());
        headers.extend(PAGE);
    }
}
