//! Content negotiation (RFC 9110, section 12.5.3): which coding of a body the client gets.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::http::fields::{Quoted, list};
use crate::render::{Body, CodedBody};

/// How many codings a client may list; browsers list five.
const MOST_CODINGS: usize = 32;

const BROTLI: HeaderValue = HeaderValue::from_static("br");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Chooses the form that the client prefers; among equals, the smallest. A client that accepts no
/// form gets the plain body. Returns the form with its `Content-Encoding`.
pub(super) fn negotiate<'a>(
    request: &HeaderMap,
    body: &'a Body,
) -> (Option<HeaderValue>, &'a CodedBody) {
    if !request.contains_key(ACCEPT_ENCODING) {
        return (None, &body.identity);
    }
    let liked = Preferences::of(request);
    let forms = [
        (liked.brotli, Some(BROTLI), body.brotli.as_ref()),
        (liked.gzip, Some(GZIP), body.gzip.as_ref()),
        (liked.identity, None, Some(&body.identity)),
    ];
    let offers = forms
        .into_iter()
        .filter_map(|(weight, coding, form)| Some((weight, coding, form?)));
    // The first of equals wins: forms are in order of size.
    let best = offers.reduce(|best, next| if next.0 > best.0 { next } else { best });
    match best {
        Some((weight, coding, form)) if weight > 0 => (coding, form),
        _ => (None, &body.identity),
    }
}

/// The client's preference for each coding, in thousandths.
struct Preferences {
    brotli: u16,
    gzip: u16,
    identity: u16,
}

impl Preferences {
    fn of(request: &HeaderMap) -> Self {
        let (mut brotli, mut gzip, mut identity, mut any) = (None, None, None, None);
        for offer in list(request, &ACCEPT_ENCODING, Quoted::Text).take(MOST_CODINGS) {
            let (name, parameters) = offer.split_once(';').unwrap_or((offer, ""));
            let weight = parameters.split(';').find_map(weight).unwrap_or(1000);
            let name = name.trim();
            let is = |coding| name.eq_ignore_ascii_case(coding);
            // The first of several weights for a coding counts.
            if is("br") {
                brotli.get_or_insert(weight);
            } else if is("gzip") || is("x-gzip") {
                gzip.get_or_insert(weight);
            } else if is("identity") {
                identity.get_or_insert(weight);
            } else if name == "*" {
                any = Some(weight);
            }
        }
        Self {
            brotli: brotli.or(any).unwrap_or(0),
            gzip: gzip.or(any).unwrap_or(0),
            // Acceptable unless refused; if it is not listed, it comes last.
            identity: identity.or(any).unwrap_or(1),
        }
    }
}

fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let weight = value.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "is within 0..=1000"
    )]
    Some((weight * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> String {
        let body = Body::new("text/plain", "Totoro ".repeat(1000));
        let mut request = HeaderMap::new();
        if !accept.is_empty() {
            request.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        }
        let coding = negotiate(&request, &body).0;
        coding.map_or("identity".into(), |it| it.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_best_liked_form_is_chosen() {
        for (accept, coding) in [
            ("", "identity"),
            ("gzip", "gzip"),
            ("gzip, deflate, br", "br"),
            ("gzip;q=1.0, br;q=0.5", "gzip"),
            ("br;q=0, gzip;q=0", "identity"),
            ("br;q=0, br, gzip;q=0.5, x-gzip;q=0", "gzip"),
            ("*", "br"),
            ("*;q=0.5, gzip", "gzip"),
            ("identity;q=0, gzip;q=0.1", "gzip"),
            ("identity", "identity"),
            ("identity, gzip;q=0.5", "identity"),
            ("identity;q=0", "identity"),
            ("GZIP", "gzip"),
            ("x-gzip", "gzip"),
            ("deflate", "identity"),
            ("gzip;q=nonsense", "identity"),
            ("x;y=\"a, gzip, b\"", "identity"),
        ] {
            assert_eq!(chosen(accept), coding, "Accept-Encoding: {accept}");
        }
        let many = |unknown| "x, ".repeat(unknown) + "gzip";
        assert_eq!(chosen(&many(MOST_CODINGS - 1)), "gzip");
        assert_eq!(chosen(&many(MOST_CODINGS)), "identity");
    }
}
