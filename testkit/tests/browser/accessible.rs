//! Pages without barriers: axe-core finds no violation in any page or state.

use std::fs;

use serde_json::Value;
use testkit::mirror::Mirror;
use testkit::process::Server;
use testkit::{TIME_LIMIT, catalogue, eventually, is_ci, oracle, skip};

use crate::Browser;
use crate::tries::runs;
use crate::visits::paths;

/// What is wrong with the open page: the rules that it breaks, with the elements.
const VIOLATIONS: &str = "return axe.run(document, {resultTypes: ['violations']}).then(found =>
    found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).join(' ')}`));";

/// Axe-core's script; `None` where it is not installed.
fn axe() -> Option<String> {
    let file = oracle::beside("node_modules/axe-core/axe.min.js");
    let script = fs::read_to_string(file).ok();
    assert!(script.is_some() || !is_ci(), "axe-core is missing");
    if script.is_none() {
        skip("browser", "axe-core is missing: npm ci in testkit/oracle");
    }
    script
}

async fn assert_no_violation(browser: &Browser, axe: &str, what: &str) {
    browser.run(axe, &[]).await.unwrap();
    assert_eq!(
        browser.ask(VIOLATIONS).await,
        Value::Array(vec![]),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_barrier_in_any_state() {
    let (Some(browser), Some(axe)) = (Browser::start().await, axe()) else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[("POSTERS", "off")]).await;
    for (width, scheme) in [(1280, "light"), (320, "dark")] {
        browser.resize(width, 800).await;
        browser.prefer(scheme).await;
        for path in paths() {
            let what = format!("{path} at {width}, {scheme}");
            browser.open(&format!("{}{path}", server.url())).await;
            assert_no_violation(&browser, &axe, &what).await;
        }
    }

    let empty = tempfile::tempdir().unwrap();
    let nothing = format!("file:{}", empty.path().display());
    let built_in = Mirror::built_in().await;
    for server in [
        Server::new(&nothing).start().await,
        built_in.server(&[("POSTERS", "off")]).await,
    ] {
        for path in ["/movies", "/status"] {
            browser.open(&format!("{}{path}", server.url())).await;
            assert_no_violation(&browser, &axe, path).await;
        }
    }

    // The check must be able to fail.
    browser.open(&format!("{}/movies", server.url())).await;
    browser.ask("document.documentElement.lang = '';").await;
    browser.run(&axe, &[]).await.unwrap();
    assert_ne!(browser.ask(VIOLATIONS).await, Value::Array(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_scripts_add_to_a_page_has_no_barrier() {
    let (Some(browser), Some(axe)) = (Browser::start().await, axe()) else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[("POSTERS", "off")]).await;
    let shows = async |what: &str, script: String| {
        let is_shown = async || browser.ask(&script).await == true;
        eventually(what, TIME_LIMIT, is_shown).await;
        assert_no_violation(&browser, &axe, what).await;
    };
    for (view, scheme) in [("table", "light"), ("cards", "dark")] {
        browser.prefer(scheme).await;
        let page = format!("{}/movies?view={view}", server.url());
        browser.open(&page).await;
        let id = mirror.upstream.release(&format!("A film for the {view}"));
        mirror.sync().await;
        let listed = format!(
            "return document.querySelector('.news a[href=\"/movies/{id}\"]') !== null
                && document.querySelector('main a[href=\"/movies/{id}\"]') !== null;"
        );
        shows(&format!("a new film, {view}, {scheme}"), listed).await;
        let types = "const field = document.getElementById('q'); field.value = 'no such film';
            field.dispatchEvent(new Event('input', {bubbles: true}));";
        browser.ask(types).await;
        let none = "return document.getElementById('none').checkVisibility();";
        shows(&format!("nothing found, {view}, {scheme}"), none.to_owned()).await;
    }
    browser.open(&format!("{}/docs", server.url())).await;
    runs(&browser, "/films", &["200 OK"]).await;
    assert_no_violation(&browser, &axe, "an example and its answer").await;
}
