//! The operator's choices: `CACHE_CONTROL`, `SERVER_TIMING`.

use testkit::catalogue;
use testkit::mirror::Mirror;

use crate::{ask, get_with, paths};

#[tokio::test]
async fn answers_from_the_catalogue_say_what_the_operator_chose() {
    let mirror = Mirror::of(catalogue()).await;
    let by_default = mirror.server(&[]).await;
    let chosen = "public, max-age=60, stale-while-revalidate=600";
    let server = mirror.server(&[("CACHE_CONTROL", chosen)]).await;
    for path in paths().into_iter().chain(["/movies".to_owned()]) {
        let asset = ["/style.css", "/icon.svg"].contains(&&*path);
        let expected = if asset {
            "public, max-age=3600"
        } else {
            "no-cache"
        };
        let answer = get_with(&by_default, &path, &[]).await;
        assert_eq!(answer.header("cache-control"), Some(expected), "{path}");

        // Clients should not keep errors, nor answers outside the catalogue.
        let answer = get_with(&server, &path, &[]).await;
        let from_catalogue = answer.headers.contains_key("cache-status");
        let expected = if from_catalogue { chosen } else { expected };
        assert_eq!(answer.header("cache-control"), Some(expected), "{path}");
        if answer.status == 400 {
            assert!(!from_catalogue, "{path}");
        }
    }
    let answer = get_with(&server, "/films", &[("if-none-match", "*")]).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (304, Some(chosen))
    );
}

#[tokio::test]
async fn answers_say_how_long_they_took_if_the_operator_wants_it() {
    let mirror = Mirror::of(catalogue()).await;
    let untimed = mirror.server(&[]).await;
    let timed = mirror.server(&[("SERVER_TIMING", "true")]).await;
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        for path in paths() {
            let answer = ask(&untimed, method, &path, &[]).await;
            assert_eq!(answer.header("server-timing"), None, "{method} {path}");
            let answer = ask(&timed, method, &path, &[]).await;
            let timing = answer.header("server-timing").unwrap();
            let took: f64 = timing.strip_prefix("app;dur=").unwrap().parse().unwrap();
            assert!((0.0..5000.0).contains(&took), "{method} {path}: {timing}");
        }
    }
}
