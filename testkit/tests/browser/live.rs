//! A release reaches a page that is open, without a reload.

use serde_json::Value;
use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn a_release_appears_in_an_open_page_and_is_announced() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    browser.open(&format!("{}/movies", server.url())).await;
    browser.ask("window.stays = true;").await;
    browser
        .ask("window.first = document.querySelector('main a[href*=\"/movies/\"]'); window.first.focus();")
        .await;
    eventually("the page to follow the events", TIME_LIMIT, async || {
        let asked = "return performance.getEntriesByType('resource').length > 0 \
                     && document.querySelector('.news') !== null;";
        browser.ask(asked).await == Value::Bool(true)
    })
    .await;

    let title = "Rain & <b>wind</b>";
    let id = mirror.upstream.release(title);
    mirror.sync().await;
    let listed =
        format!("return document.querySelector('main a[href=\"/movies/{id}\"]')?.textContent;");
    eventually("the film in the list", TIME_LIMIT, async || {
        browser.ask(&listed).await == title
    })
    .await;
    let announced = "const news = document.querySelector('.news[aria-live=polite]'); \
                     return news.textContent + ' ' + news.querySelector('a').getAttribute('href');";
    let announced = browser.ask(announced).await;
    assert_eq!(announced, format!("New: {title} /movies/{id}"));
    let stayed = "return window.stays === true && document.activeElement.getAttribute('href') \
                  === window.first.getAttribute('href');";
    assert_eq!(
        browser.ask(stayed).await,
        Value::Bool(true),
        "no reload, same focus"
    );
}
