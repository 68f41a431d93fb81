//! Conditional requests (RFC 9110, section 13): whether the client has the body already.

use http::header::{CACHE_CONTROL, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use crate::http::fields::{Quoted, list};

/// Whether `If-None-Match` names this tag by weak comparison, or is `*`, which means any tag. A
/// request with `Cache-Control: no-cache` gets the body in any case.
pub(super) fn has_already(request: &HeaderMap, etag: &HeaderValue) -> bool {
    fn opaque(tag: &str) -> &str {
        tag.strip_prefix("W/").unwrap_or(tag)
    }
    if !request.contains_key(IF_NONE_MATCH) {
        return false;
    }
    let directives = || list(request, &CACHE_CONTROL, Quoted::Text);
    let tags = || list(request, &IF_NONE_MATCH, Quoted::Tag);
    let wants_all = directives().any(|it| it.eq_ignore_ascii_case("no-cache"));
    let ours = opaque(etag.to_str().unwrap_or_default());
    // In a list with other tags, `*` has no meaning (RFC 9110, section 13.1.2).
    !wants_all && (tags().any(|tag| opaque(tag) == ours) || tags().eq(["*"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: HeaderValue = HeaderValue::from_static("W/\"2-abc\"");

    fn has(lines: &[&'static str], cache_control: &'static str) -> bool {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(IF_NONE_MATCH, HeaderValue::from_static(line));
        }
        request.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        has_already(&request, &ETAG)
    }

    #[test]
    fn a_known_tag_is_found_in_every_spelling() {
        for tag in ["W/\"2-abc\"", "\"2-abc\"", "*", "\"x\", W/\"2-abc\""] {
            assert!(has(&[tag], "max-age=0"), "{tag}");
            assert!(!has(&[tag], "no-cache"), "{tag}");
        }
        assert!(!has(&["W/\"other\""], "max-age=0"));
        assert!(!has_already(&HeaderMap::new(), &ETAG));
    }

    #[test]
    fn a_comma_between_quotes_separates_nothing() {
        for lines in [
            &["\"a,b\", \"2-abc\""][..],
            &["\"x\"", "W/\"y\",W/\"2-abc\""],
            // In a tag a backslash escapes nothing.
            &["\"x\\\", \"2-abc\""],
            &["\"\", ,, \"2-abc\""],
            &[" * "],
        ] {
            assert!(has(lines, "max-age=0"), "{lines:?}");
        }
        for lines in [
            &["\"a,*,b\""][..],
            &["\"a, W/\"2-abc\", b\""],
            &["\"x\", *"],
            &["*", "\"x\""],
            &["*, *"],
            &["W/*"],
            &["\"x, \"2-abc\""],
            &["\"2-abc"],
            &["2-abc"],
            &["w/\"2-abc\""],
            &["\"x\" \"2-abc\""],
        ] {
            assert!(!has(lines, "max-age=0"), "{lines:?}");
        }
        for directives in ["no-cache", "max-age=0, No-Cache", "x=\"a\\\"\", no-cache"] {
            assert!(!has(&["*"], directives), "{directives}");
        }
        for directives in [
            "x=\"a, no-cache, b\"",
            "x=\"a\\\", no-cache, b\"",
            "no-cached",
        ] {
            assert!(has(&["*"], directives), "{directives}");
        }
    }
}
