//! The reference is a place to try things: each example runs in place.

use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::Browser;

/// Runs the example with this text, and waits until its answer has all of these.
pub(crate) async fn runs(browser: &Browser, example: &str, expected: &[&str]) {
    let script = format!(
        "window.place = [...document.querySelectorAll('a.example')]
            .find(link => link.textContent === '{example}').parentElement;
        place.querySelector('button').click();"
    );
    browser.ask(&script).await;
    let shown = async || {
        let shown = "return place.querySelector('.answer')?.textContent ?? '';";
        let shown = browser.ask(shown).await;
        let shown = shown.as_str().unwrap();
        expected.iter().all(|part| shown.contains(part))
    };
    eventually(&format!("{example}: {expected:?}"), TIME_LIMIT, shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_run_in_place_and_show_status_headers_and_body() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    browser.open(&format!("{}/docs", server.url())).await;
    let counts = "return [document.querySelectorAll('a.example').length,
        document.querySelectorAll('a.example + button').length];";
    let counts = browser.ask(counts).await;
    assert!(counts[0].as_u64() > Some(20), "{counts}");
    assert_eq!(counts[0], counts[1]);

    let kind = "content-type: application/json; charset=utf-8";
    let film = "/films/2baf70d1-42bb-4437-b551-e5fed5a87abe";
    runs(
        &browser,
        film,
        &[&format!("GET {film}"), "200 OK", kind, "Castle in the Sky"],
    )
    .await;
    // A stream shows its beginning.
    let stream = [
        "200 OK",
        "content-type: text/event-stream",
        "event: generation",
        "goes on",
    ];
    runs(&browser, "/events", &stream).await;
    assert_eq!(browser.complaints().await, [""; 0]);

    // Without a script, there are the links.
    browser
        .command(
            "Emulation.setScriptExecutionDisabled",
            serde_json::json!({"value": true}),
        )
        .await;
    browser.open(&format!("{}/docs", server.url())).await;
    browser
        .command(
            "Emulation.setScriptExecutionDisabled",
            serde_json::json!({"value": false}),
        )
        .await;
    let buttons = "return document.querySelectorAll('button').length;";
    assert_eq!(browser.ask(buttons).await, 0);
}
