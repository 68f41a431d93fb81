//! A password in every form in which it could appear.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A part of every password below, which no percent-encoding changes.
pub(crate) const CORE: &str = "Kiki-1989-Jiji";

/// Everything except the core needs percent-encoding.
pub(crate) const PASSWORD: &str = "p@:/?#[é%Kiki-1989-Jiji\"' \\x";

pub(crate) fn encoded(password: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| {
        if is_plain(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    password.bytes().map(encode).collect()
}

/// The forms that must not appear: the password as text, in Base64 at each offset, and as the list
/// of bytes that a careless debug line prints.
fn forms() -> Vec<String> {
    let in_base64 = |offset: usize| {
        let text = STANDARD.encode([&b"xx"[..offset], CORE.as_bytes()].concat());
        // The ends depend on the text around the password.
        text[4..text.len() - 4].to_owned()
    };
    let bytes: Vec<_> = CORE.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![CORE.to_owned(), bytes.join(", "), bytes.join(",")];
    forms.extend((0..3).map(in_base64));
    forms
}

/// Finds the password in a text, and returns it with the text around it.
fn find(text: &str) -> Option<&str> {
    let at = forms().iter().find_map(|form| text.find(form))?;
    let start = text.floor_char_boundary(at.saturating_sub(200));
    let end = text.ceil_char_boundary((at + 60).min(text.len()));
    Some(&text[start..end])
}

/// Checks one text that others may see.
pub(crate) fn is_clean(what: &str, text: &str) {
    assert_eq!(find(text), None, "the password is in {what}");
}

#[test]
fn every_form_of_the_password_is_recognised() {
    for text in [
        PASSWORD.to_owned(),
        encoded(PASSWORD),
        STANDARD.encode(PASSWORD),
        STANDARD.encode(format!("poller:{PASSWORD}")),
        STANDARD.encode(format!("server1:{PASSWORD}")),
        STANDARD.encode(format!("{PASSWORD}:")),
        format!("{:?}", PASSWORD.as_bytes()),
        serde_json::to_string(PASSWORD).unwrap(),
    ] {
        assert!(find(&text).is_some(), "{text}");
    }
    is_clean("a text", "Kiki's Delivery Service, 1989");
}
