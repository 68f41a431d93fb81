//! One body in all forms that the server sends: plain, gzip and Brotli, with the fields that
//! describe it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use sha1::{Digest, Sha1};

/// The server, like the upstream, does not compress bodies smaller than this, in bytes.
const MIN_COMPRESSED: usize = 1024;

/// Needs a table of 256 KiB. From 5 on, each body needs tables of megabytes, which cost most of the
/// time of compressing a small catalogue: 130 ms at 9 instead of 5 ms, for a tenth fewer bytes.
const BROTLI_QUALITY: i32 = 4;

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// The smallest and the largest Brotli window, in bits (RFC 7932, section 9.1).
const BROTLI_WINDOWS: std::ops::RangeInclusive<u32> = 10..=22;

/// A body in all its codings.
#[derive(Clone, Debug)]
pub struct Body {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The plain body.
    pub identity: CodedBody,
    /// As gzip, if that is smaller.
    pub gzip: Option<CodedBody>,
    /// As Brotli, if that is smaller.
    pub brotli: Option<CodedBody>,
    /// The weak entity tag that stands for all codings.
    pub etag: HeaderValue,
    /// When the content last changed, if that is known.
    pub last_modified: Option<Modified>,
}

/// One coding of a body.
#[derive(Clone, Debug)]
pub struct CodedBody {
    /// The bytes.
    pub bytes: Bytes,
    /// Their number, as the value of `Content-Length`.
    pub length: HeaderValue,
}

impl CodedBody {
    fn new(bytes: Bytes) -> Self {
        let length = bytes.len().into();
        Self { bytes, length }
    }

    /// Without the room that a growing vector has at its end.
    fn fitting(bytes: Vec<u8>) -> Self {
        Self::new(bytes.into_boxed_slice().into())
    }
}

/// When a body last changed.
#[derive(Clone, Debug)]
pub struct Modified {
    at: DateTime<Utc>,
    field: HeaderValue,
}

impl Modified {
    fn new(at: DateTime<Utc>) -> Self {
        Self {
            at,
            field: http_date(at),
        }
    }

    /// The value of `Last-Modified`: this moment, or `now` if that is earlier.
    pub fn not_after(&self, now: DateTime<Utc>) -> HeaderValue {
        if self.at <= now {
            self.field.clone()
        } else {
            http_date(now)
        }
    }
}

/// A date in the format of HTTP (RFC 9110, section 5.6.7), which has no years before 1970 here and
/// none of five digits.
fn http_date(moment: DateTime<Utc>) -> HeaderValue {
    let seconds = u64::try_from(moment.timestamp()).unwrap_or(0);
    let moment = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND));
    let text = httpdate::fmt_http_date(moment);
    HeaderValue::try_from(text).expect("is ASCII")
}

impl Body {
    /// A body that the server sends often, in all forms.
    pub fn new(content_type: &'static str, text: impl Into<Bytes>) -> Self {
        Self::uncompressed(content_type, text).compressed()
    }

    /// The body with its compressed forms, which costs some milliseconds once. Keeps those that it
    /// has already.
    #[must_use]
    pub fn compressed(self) -> Self {
        let bytes = &self.identity.bytes;
        if bytes.len() < MIN_COMPRESSED || self.gzip.is_some() || self.brotli.is_some() {
            return self;
        }
        let smaller =
            |coded: Vec<u8>| (coded.len() < bytes.len()).then(|| CodedBody::fitting(coded));
        let gzip = smaller(gzip(bytes));
        let brotli = smaller(brotli(bytes));
        Self {
            gzip,
            brotli,
            ..self
        }
    }

    /// The body, with the time of its last change.
    #[must_use]
    pub fn modified_at(self, moment: DateTime<Utc>) -> Self {
        Self {
            last_modified: Some(Modified::new(moment)),
            ..self
        }
    }

    /// A body that the server sends only once, or soon compresses.
    pub fn uncompressed(content_type: &'static str, text: impl Into<Bytes>) -> Self {
        let identity = CodedBody::new(text.into());
        let etag = etag(&identity.bytes);
        Self {
            content_type,
            identity,
            gzip: None,
            brotli: None,
            etag,
            last_modified: None,
        }
    }
}

/// The tag that the upstream's framework gives a body, so that validators which clients got from
/// the upstream stay valid here: length in hex, and 27 characters of SHA-1 in base 64.
fn etag(body: &[u8]) -> HeaderValue {
    let mut tag = format!("W/\"{:x}-", body.len());
    let digest = STANDARD_NO_PAD.encode(Sha1::digest(body));
    let _ = write!(tag, "{digest}\"");
    HeaderValue::from_str(&tag).expect("hex and base 64 are visible ASCII")
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("memory takes everything")
}

fn brotli(body: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    // A window as large as the body is enough, and costs much less to set up than the largest.
    let needed = usize::BITS - body.len().leading_zeros();
    let window = needed.clamp(*BROTLI_WINDOWS.start(), *BROTLI_WINDOWS.end());
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: window.cast_signed(),
        size_hint: body.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*body, &mut compressed, &parameters)
        .expect("memory takes everything");
    compressed
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_form_decodes_to_the_same_bytes() {
        let text = "Totoro ".repeat(1000);
        let body = Body::new("text/plain", text.clone());
        let mut gunzipped = String::new();
        flate2::read::GzDecoder::new(&body.gzip.unwrap().bytes[..])
            .read_to_string(&mut gunzipped)
            .unwrap();
        assert_eq!(gunzipped, text);
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut &body.brotli.unwrap().bytes[..], &mut plain).unwrap();
        assert_eq!(plain, text.as_bytes());
    }

    #[test]
    fn the_tag_is_the_one_that_express_gives() {
        assert_eq!(etag(b"{}"), "W/\"2-vyGp6PvFo4RvsFtPoIWeCReyIC8\"");
    }

    #[test]
    fn small_bodies_are_left_alone() {
        assert!(Body::new("text/plain", "x".repeat(1023)).gzip.is_none());
    }
}
