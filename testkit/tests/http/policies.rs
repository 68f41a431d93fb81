//! The policies for browsers on every answer of every kind. `tests/browser` checks that browsers
//! obey them.

use testkit::catalogue;
use testkit::client::{Response, get};
use testkit::mirror::Mirror;
use testkit::process::RunningServer;

use crate::{ask, paths};

/// The pages.
const PAGES: [&str; 4] = ["/movies", "/movies/", "/movies?x=1", "/docs"];

/// The policies of every answer with HTML, word for word except the hashes of the scripts,
/// which a browser checks.
const POLICIES: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'sha256-HASH' 'sha256-HASH' 'sha256-HASH'; \
         connect-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), \
         fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
         magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
         publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), \
         xr-spatial-tracking=()",
    ),
];

/// Checks an answer's policies. Failures name the answer's address.
fn assert_protected(answer: &Response, what: &str) {
    for (header, value) in POLICIES {
        let sent = answer.headers.get_all(header).into_iter();
        let sent: Vec<_> = sent
            .map(|line| without_hash(line.to_str().unwrap()))
            .collect();
        assert_eq!(sent, [value], "{what}: {header}");
    }
}

fn without_hash(policy: &str) -> String {
    let mut pieces = policy.split("'sha256-");
    let before = pieces.next().unwrap().to_owned();
    pieces.fold(before, |policy, piece| {
        let (hash, after) = piece.split_once('\'').unwrap();
        assert_eq!(hash.len(), 44, "SHA-256 in base 64");
        format!("{policy}'sha256-HASH'{after}")
    })
}

/// Requests every page in every way that a client may use.
async fn assert_pages_are_protected(server: &RunningServer) {
    for page in PAGES {
        for headers in [
            &[][..],
            &[("accept-encoding", "gzip")],
            &[("accept-encoding", "br")],
        ] {
            for method in ["GET", "HEAD"] {
                let what = format!("{method} {page} {headers:?}");
                let answer = ask(server, method, page, headers).await;
                assert_eq!(answer.status, 200, "{what}");
                let html = Some("text/html; charset=utf-8");
                assert_eq!(answer.header("content-type"), html, "{what}");
                assert_eq!(
                    answer.header("x-content-type-options"),
                    Some("nosniff"),
                    "{what}"
                );
                assert_protected(&answer, &what);
            }
        }
        let known = ask(server, "GET", page, &[("if-none-match", "*")]).await;
        assert_eq!(known.status, 304, "{page}");
        assert_protected(&known, &format!("304 of {page}"));
    }
}

#[tokio::test]
async fn every_page_has_every_policy_for_every_kind_of_request() {
    let mirror = Mirror::of(catalogue()).await;
    assert_pages_are_protected(&mirror.server(&[]).await).await;
    // Also with the built-in catalogue, and for clients that see the mirror below a path.
    let mirror = Mirror::built_in().await;
    let below = [("PUBLIC_URL", "https://host.example/ghibli")];
    assert_pages_are_protected(&mirror.server(&below).await).await;
}

/// An HTML answer has the policies, any other has none, and no browser has to guess the type of a
/// body.
#[tokio::test]
async fn no_body_may_be_sniffed_and_only_pages_are_html() {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    let mut kinds = std::collections::BTreeSet::new();
    for path in paths().into_iter().chain(PAGES.map(str::to_owned)) {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let answer = ask(&server, method, &path, &[]).await;
            let what = format!("{method} {path}");
            let Some(kind) = answer.header("content-type") else {
                assert!(answer.body.is_empty(), "{what}: a body without a type");
                continue;
            };
            kinds.insert(kind.to_owned());
            let nosniff = answer.header("x-content-type-options");
            assert_eq!(nosniff, Some("nosniff"), "{what}");
            if kind.starts_with("text/html") {
                assert_protected(&answer, &what);
            } else {
                let is_html = answer.body.starts_with(b"<") && !kind.starts_with("image/svg+xml");
                assert!(!is_html, "{what}: {kind}");
            }
        }
    }
    let expected = [
        "application/json; charset=utf-8",
        "application/problem+json",
        "image/svg+xml",
        "text/css; charset=utf-8",
        "text/html; charset=utf-8",
        "text/javascript; charset=utf-8",
    ];
    assert!(kinds.iter().eq(expected.iter()), "{kinds:?}");
}

#[tokio::test]
async fn bodies_may_not_be_sniffed_before_the_first_load_and_on_the_admin_address() {
    let mirror = Mirror::empty(catalogue());
    let server = testkit::process::Server::new(&mirror.cache_url());
    let server = server.start().await;
    let (public, admin) = (server.url(), server.admin_url());
    for (url, status) in [
        (format!("{public}/movies"), 503),
        (format!("{public}/films"), 503),
        (format!("{admin}/livez"), 200),
        (format!("{admin}/readyz"), 503),
        (format!("{admin}/nope"), 404),
    ] {
        let answer = get(&url).await;
        assert_eq!(answer.status, status, "{url}");
        let kind = answer.header("content-type").unwrap();
        assert!(!kind.starts_with("text/html"), "{url}: {kind}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{url}"
        );
    }
    // The reference needs no catalogue.
    let docs = get(&format!("{public}/docs")).await;
    assert_protected(&docs, "/docs");
}
