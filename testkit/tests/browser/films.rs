//! What people do with the films: search, filter, sort, look at cards, open a film and what is in
//! it; with a script and without, on a phone and in the dark.

use serde_json::json;
use testkit::client::request;
use testkit::mirror::Mirror;
use testkit::process::RunningServer;
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::Browser;
use crate::pages::OVERHANG;

/// The titles that a person sees, in order.
const TITLES: &str = "return [...document.querySelectorAll('.one')]
    .filter(one => one.checkVisibility())
    .map(one => one.querySelector('bdi').textContent);";

/// A mirror of the built-in films, whose pages ask no other host for posters.
async fn films(posters: &str) -> (Mirror, RunningServer) {
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[("POSTERS", posters)]).await;
    (mirror, server)
}

async fn titles(browser: &Browser) -> Vec<String> {
    serde_json::from_value(browser.ask(TITLES).await).unwrap()
}

/// Submits the search form with a value in one field, and waits for the next page.
async fn submit(browser: &Browser, field: &str, value: &str) {
    let script = format!(
        "document.body.dataset.old = true;
        const form = document.getElementById('search');
        form.elements.{field}.value = '{value}';
        form.querySelector('button').click();"
    );
    browser.ask(&script).await;
    let next = "return document.readyState === 'complete' && !document.body.dataset.old;";
    let arrived = async || browser.run(next, &[]).await.is_ok_and(|it| it == true);
    eventually("the next page", TIME_LIMIT, arrived).await;
}

/// The line above the films, as a person sees it.
async fn count_line(browser: &Browser) -> String {
    let line = browser.ask("return document.querySelector('.count').innerText;");
    line.await.as_str().unwrap().to_owned()
}

async fn without_script(browser: &Browser) {
    let off = json!({"value": true});
    browser
        .command("Emulation.setScriptExecutionDisabled", off)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn films_are_found_without_a_script() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (_mirror, server) = films("off").await;
    without_script(&browser).await;
    for view in ["table", "cards"] {
        browser
            .open(&format!("{}/movies?view={view}", server.url()))
            .await;
        assert_eq!(titles(&browser).await.len(), 22, "{view}");
        submit(&browser, "q", "pazu").await;
        assert_eq!(titles(&browser).await, ["Castle in the Sky"], "{view}");
        submit(&browser, "q", "").await;
        submit(&browser, "director", "Isao Takahata").await;
        submit(&browser, "decade", "1980").await;
        assert_eq!(titles(&browser).await, ["Grave of the Fireflies"], "{view}");
        submit(&browser, "decade", "").await;
        submit(&browser, "sort", "title").await;
        let found = titles(&browser).await;
        assert!(found.len() > 3 && found.is_sorted(), "{view}: {found:?}");
        submit(&browser, "q", "no such film").await;
        let none = "return document.getElementById('none').checkVisibility();";
        assert_eq!(browser.ask(none).await, true, "{view}");
        assert_eq!(count_line(&browser).await, "0 films", "{view}");
        assert_eq!(browser.complaints().await, [""; 0], "{view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_searches_while_a_person_types() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (_mirror, server) = films("off").await;
    let types = async |text: &str, count: usize| {
        let script = format!(
            "const field = document.getElementById('q');
            field.value = '{text}';
            field.dispatchEvent(new Event('input', {{bubbles: true}}));"
        );
        browser.ask(&script).await;
        let shown = async || titles(&browser).await.len() == count;
        eventually(&format!("{count} films for {text}"), TIME_LIMIT, shown).await;
        count_line(&browser).await
    };
    for view in ["table", "cards"] {
        browser
            .open(&format!("{}/movies?view={view}", server.url()))
            .await;
        assert_eq!(
            types("castle", 2).await,
            "2 films, newest first · oldest first"
        );
        assert_eq!(
            types("CASTLE sky", 1).await,
            "1 film, newest first · oldest first"
        );
        let address = browser.ask("return location.search;").await;
        assert!(
            address.as_str().unwrap().contains("q=CASTLE+sky"),
            "{address}"
        );
        assert_eq!(types("no such film", 0).await, "0 films");
        assert_eq!(types("", 22).await, "22 films, newest first · oldest first");

        // What the server chose is not all that there is.
        browser
            .open(&format!("{}/movies?view={view}&q=castle", server.url()))
            .await;
        assert_eq!(titles(&browser).await.len(), 2);
        assert_eq!(
            types("pazu", 1).await,
            "1 film, newest first · oldest first"
        );
        assert_eq!(types("", 22).await, "22 films, newest first · oldest first");
        assert_eq!(browser.complaints().await, [""; 0], "{view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_leads_to_its_people_and_they_lead_back() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (_mirror, server) = films("off").await;
    without_script(&browser).await;
    browser.open(&format!("{}/movies", server.url())).await;
    for (link, heading) in [
        ("Castle in the Sky", "Castle in the Sky"),
        ("Pazu", "Pazu"),
        ("Castle in the Sky", "Castle in the Sky"),
        ("Hayao Miyazaki", "List of Movies"),
    ] {
        let script = format!(
            "[...document.querySelectorAll('main a')]
                .find(link => link.textContent === '{link}').click();"
        );
        browser.ask(&script).await;
        let arrived = async || {
            let shown = "return document.readyState === 'complete'
                && document.querySelector('h1 bdi, h1:not(:has(bdi))')?.textContent;";
            browser.run(shown, &[]).await.is_ok_and(|it| it == heading)
        };
        eventually(heading, TIME_LIMIT, arrived).await;
        assert_eq!(browser.complaints().await, [""; 0], "{link}");
    }
    assert!(titles(&browser).await.len() > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_page_fits_a_phone_and_the_dark() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (_mirror, server) = films("off").await;
    let data = catalogue();
    let mut paths = vec!["/movies?view=cards".to_owned(), "/nothing".to_owned()];
    let film = data["films"][0]["id"].as_str().unwrap();
    paths.push(format!("/movies/{film}"));
    for collection in ["people", "locations", "species", "vehicles"] {
        let id = data[collection][0]["id"].as_str().unwrap();
        paths.push(format!("/movies/{collection}/{id}"));
    }
    for path in paths {
        browser.open(&format!("{}{path}", server.url())).await;
        for width in [320, 390, 768, 1280, 3840] {
            browser.resize(width, 800).await;
            assert_eq!(browser.ask(OVERHANG).await, 0, "{path} at {width}");
        }
        browser.prefer("dark").await;
        let ground = "return getComputedStyle(document.body).backgroundColor;";
        assert_eq!(browser.ask(ground).await, "rgb(22, 32, 31)", "{path}");
        browser.prefer("light").await;
    }
}

/// With posters, pages ask other hosts for pictures and nothing else; without, for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn posters_come_over_drawings_or_not_at_all() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    for (posters, count, allowed) in [
        ("on", 22, "img-src 'self' https:;"),
        ("off", 0, "img-src 'self';"),
    ] {
        let (_mirror, server) = films(posters).await;
        let page = format!("{}/movies?view=cards", server.url());
        browser.open(&page).await;
        let found = "const all = what => document.querySelectorAll(what);
            const lazy = [...all('.art img')].filter(one => one.loading === 'lazy'
                && one.src.startsWith('https://') && one.alt === '');
            return [all('.art svg').length, all('img').length, lazy.length];";
        assert_eq!(
            browser.ask(found).await,
            json!([22, count, count]),
            "{posters}"
        );
        let answer = request(http::Method::GET, &page, &[]).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains(allowed), "{policy}");
        // The reference and the table show no posters.
        for path in ["/movies", "/docs"] {
            let answer = request(http::Method::GET, &format!("{}{path}", server.url()), &[]).await;
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("img-src 'self';"), "{path}: {policy}");
        }
    }
}
