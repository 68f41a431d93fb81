//! Correct HTTP from running servers: validators, HEAD, codings, ages, settings, links, policies,
//! and requests as clients really send them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod age;
mod coding;
mod half_closed;
mod head;
mod links;
mod policies;
mod settings;
mod spoken;
mod validators;

use testkit::client::{Response, request};
use testkit::process::RunningServer;

/// The first film of the catalogue.
const CASTLE: &str = "2baf70d1-42bb-4437-b551-e5fed5a87abe";

/// Paths of every kind of answer: bodies for everyone, bodies for one request, and errors.
fn paths() -> Vec<String> {
    let paths = [
        "/films",
        "/people",
        "/locations",
        "/species",
        "/vehicles",
        "/films/CASTLE",
        "/films/CASTLE/people",
        "/films?limit=3&fields=title",
        "/films?_page=2&_limit=5",
        "/films?callback=show&limit=1",
        "/films?_embed=people",
        "/films/CASTLE?fields=title",
        "/films/CASTLE/people?_page=1&_limit=2",
        "/db",
        "/docs",
        "/openapi.json",
        "/style.css",
        "/icon.svg",
        "/",
        "/films/unknown",
        "/nope",
        "//films",
        "/films?limit=abc",
        "/films/%zz",
    ];
    paths.map(|path| path.replace("CASTLE", CASTLE)).into()
}

async fn get_with(server: &RunningServer, path: &str, headers: &[(&str, &str)]) -> Response {
    ask(server, "GET", path, headers).await
}

async fn ask(
    server: &RunningServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    let url = format!("{}{path}", server.url());
    request(method.parse().unwrap(), &url, headers).await
}
