//! How the page shows its data's age: with its script, and without.

use serde_json::json;
use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::Browser;

const LINE: &str = "return document.querySelector('.age').textContent;";

async fn line(browser: &Browser) -> String {
    browser.ask(LINE).await.as_str().unwrap().to_owned()
}

/// Waits until the open page shows how long ago its data was confirmed.
pub(crate) async fn age_is_shown(browser: &Browser) {
    let shown = async || {
        let line = line(browser).await;
        line.starts_with("Last update: ") && line.ends_with(" ago")
    };
    eventually("an age on the page", TIME_LIMIT, shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_counts_the_seconds_since_the_last_confirmation() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    browser.open(&format!("{}/movies", server.url())).await;
    age_is_shown(&browser).await;
    let first = line(&browser).await;
    let goes_on = async || line(&browser).await != first;
    eventually("a later second", TIME_LIMIT, goes_on).await;
    age_is_shown(&browser).await;
    assert_eq!(browser.complaints().await, [""; 0]);

    // The units change where a person would change them.
    for (seconds, age) in [
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_199, "119 minutes"),
        (7_200, "2 hours"),
        (172_800, "2 days"),
        (-5, "0 seconds"),
    ] {
        let script = format!("confirmed = Date.now() - 1000 * {seconds}; show(); {LINE}");
        let line = browser.ask(&script).await;
        assert_eq!(line, format!("Last update: {age} ago"), "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_script_the_page_says_as_of_when_it_is() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    browser
        .command(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": true}),
        )
        .await;
    browser.open(&format!("{}/movies", server.url())).await;
    let line = line(&browser).await;
    assert!(
        line.starts_with("As of 2") && line.ends_with(" UTC"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_that_the_upstream_has_never_answered() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::built_in().await;
    let server = mirror.server(&[]).await;
    browser.open(&format!("{}/movies", server.url())).await;
    let never = "Last update: never, the upstream has not answered yet";
    eventually("an age of never", TIME_LIMIT, async || {
        line(&browser).await == never
    })
    .await;
}
