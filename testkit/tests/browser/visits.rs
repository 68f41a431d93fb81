//! Every page and state that a person may see, and whether its HTML has an error.

use html5ever::tendril::TendrilSink as _;
use html5ever::{ParseOpts, parse_document};
use http::Method;
use markup5ever_rcdom::RcDom;
use testkit::catalogue;
use testkit::client::request;
use testkit::mirror::Mirror;
use testkit::process::Server;

/// The paths of every page, and of its states; the last two are errors.
pub(crate) fn paths() -> Vec<String> {
    let data = catalogue();
    let id = |collection: &str| data[collection][0]["id"].as_str().unwrap().to_owned();
    let fixed = [
        "/movies",
        "/movies?view=cards",
        "/movies?q=castle",
        "/movies?q=nothing+has+this",
        "/movies?director=Hayao+Miyazaki&sort=score&order=asc&view=cards",
        "/status",
        "/docs",
    ];
    let mut paths: Vec<_> = fixed.map(str::to_owned).into();
    paths.push(format!("/movies/{}", id("films")));
    for collection in ["people", "locations", "species", "vehicles"] {
        paths.push(format!("/movies/{collection}/{}", id(collection)));
    }
    paths.extend(["/movies?sort=size".to_owned(), "/nothing".to_owned()]);
    paths
}

/// What is wrong with the HTML of a page that a browser gets, by the standard's own parser.
async fn errors(url: &str) -> Vec<String> {
    let accept = [("accept", "text/html,*/*;q=0.8")];
    let page = request(Method::GET, url, &accept).await;
    let kind = page.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "{url}: {kind}");
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page.text());
    dom.errors.take().into_iter().map(Into::into).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_html_without_an_error() {
    let mirror = Mirror::of(catalogue()).await;
    let empty = tempfile::tempdir().unwrap();
    let built_in = Mirror::built_in().await;
    let nothing = format!("file:{}", empty.path().display());
    let servers = [
        mirror.server(&[]).await,
        mirror.server(&[("POSTERS", "off")]).await,
        built_in.server(&[]).await,
        Server::new(&nothing).start().await,
    ];
    for server in &servers {
        for path in paths() {
            let url = format!("{}{path}", server.url());
            assert_eq!(errors(&url).await, [""; 0], "{path}");
        }
    }
    // The parser must be able to complain.
    let wrong = "<!DOCTYPE html><title>x</title><p><b>x</p></i>";
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(wrong);
    assert!(!dom.errors.take().is_empty());
}
