//! Hostile text from the upstream stays text on the page, in its own place.

use serde_json::json;
use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, eventually};
use thirtyfour::error::WebDriverErrorInner;

use crate::age::age_is_shown;
use crate::pages::OVERHANG;
use crate::{Browser, Elsewhere, Stage, hostile};

/// Text as an HTML parser leaves it: the parser knows one kind of line end and drops NUL.
fn parsed(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace(['\r'], "\n")
        .replace('\0', "")
}

/// What a row shows for a text in every field of a film and of its one person.
fn row(text: &str) -> [String; 8] {
    let trimmed = text.trim();
    let is_number = trimmed.starts_with(|first: char| first.is_ascii_digit());
    let age = if is_number {
        format!("age {trimmed}")
    } else {
        trimmed.to_owned()
    };
    let cells = [
        text.to_owned(),
        format!("({trimmed})"),
        format!("{text} ~"),
        format!("{trimmed} minutes"),
        trimmed.to_owned(),
        trimmed.to_owned(),
        format!("{text}, {text}"),
        format!("{text} ({age}) with {trimmed} eyes, {trimmed} hair"),
    ];
    cells.map(|cell| parsed(&cell))
}

const ROWS: &str = "return [...document.querySelectorAll('tbody tr')].map(row =>
    [...row.querySelectorAll(`th > *, td[data-label=Score], td[data-label=Producer],
        td[data-label=Director], li`)].map(cell => cell.textContent));";

/// Every kind of element and attribute on the page, once.
const MARKUP: &str = "const name = one => [one.localName,
        ...[...one.attributes].map(attribute => `${one.localName}@${attribute.name}`)];
    return [...new Set([...document.querySelectorAll('*')].flatMap(name))].sort();";

/// Every address to which the page links, beside those of films and of a director's films.
const ADDRESSES: &str = "return [...document.querySelectorAll('[href], [src]')]
    .map(one => one.getAttribute('href') ?? one.getAttribute('src'))
    .filter(one => !one.startsWith('/movies/') && !one.startsWith('/movies?director='));";

/// Where the titles of films lead.
const FILMS: &str =
    "return [...document.querySelectorAll('th[scope=row] a')].map(one => one.href);";

/// The traps are real: as markup, without policies, the same texts trigger them.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_do_harm_where_they_are_not_escaped() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let elsewhere = Elsewhere::start().await;
    let texts = hostile::texts(&format!("{}/trap", elsewhere.url()));
    for (what, ran) in [
        ("script", true),
        ("attribute, double quotes", true),
        ("end of title", true),
        ("end of comment", true),
        ("svg", true),
        ("frame", true),
        ("refresh", false),
        ("stylesheet", false),
        ("end of style", false),
    ] {
        let before = elsewhere.asked("/trap").len();
        browser.open(&elsewhere.show("raw", &texts[what])).await;
        let sprung = async || {
            if ran {
                browser.ask("return window.ran;").await == true
            } else {
                elsewhere.asked("/trap").len() > before
            }
        };
        eventually(&format!("{what} to do harm"), TIME_LIMIT, sprung).await;
    }
    browser
        .open(&elsewhere.show("raw", "<script>setTimeout(alert)</script>"))
        .await;
    let noticed = async || {
        let error = browser.run("return 1;", &[]).await.err()?;
        matches!(*error, WebDriverErrorInner::UnexpectedAlertOpen(_)).then_some(())
    };
    eventually("the dialog to be noticed", TIME_LIMIT, noticed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_hostile_text_as_it_is_and_as_nothing_else() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let browser = &stage.browser;
    let url = format!("{}/movies", stage.server.url());

    // The page has the same markup as the page of an honest mirror.
    let honest = Mirror::of(testkit::catalogue()).await;
    let honest = honest.server(&[]).await;
    browser.open(&format!("{}/movies", honest.url())).await;
    let (markup, addresses) = (browser.ask(MARKUP).await, browser.ask(ADDRESSES).await);

    browser.open(&url).await;
    assert_eq!(browser.complaints().await, [""; 0]);
    assert_eq!(browser.ask(ADDRESSES).await, addresses);
    let unexpected: Vec<_> = browser
        .ask(MARKUP)
        .await
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| !markup.as_array().unwrap().contains(one))
        .cloned()
        .collect();
    assert_eq!(unexpected, [""; 0]);

    let rows = browser.ask(ROWS).await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2 * stage.texts.len() + 1);
    // A film without a readable year counts as new; of equal films, the last comes first.
    let (newest, older) = rows.split_at(stage.texts.len());
    for ((what, text), (full, nameless)) in stage.texts.iter().rev().zip(newest.iter().zip(older)) {
        let shown = full.as_array().unwrap();
        let expected = row(text);
        assert_eq!(shown.len(), expected.len(), "{what}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert_eq!(shown, &expected, "{what}");
        }
        let known_by_id = [&*parsed(text), "(1999)", "unknown", "unknown", "unknown"];
        assert_eq!(nameless, &json!(known_by_id), "{what}");
    }
    age_is_shown(browser).await;
    stage.assert_nothing_ran("/movies").await;

    for width in [360, 1280] {
        browser.resize(width, 800).await;
        assert_eq!(browser.ask(OVERHANG).await, 0, "at {width}");
    }
}

/// The longest address of a film's page that the test opens.
const LONGEST_ADDRESS: usize = 4000;

/// A film's own page, whatever the film's texts and its id are.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_film_with_hostile_text_runs_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let browser = &stage.browser;
    browser
        .open(&format!("{}/movies", stage.server.url()))
        .await;
    let films = browser.ask(FILMS).await;
    let films = films.as_array().unwrap();
    assert_eq!(films.len(), 2 * stage.texts.len() + 1);
    // The server refuses heads that are longer than any real address.
    let films = films.iter().map(|film| film.as_str().unwrap());
    for film in films.filter(|film| film.len() < LONGEST_ADDRESS) {
        browser.open(film).await;
        let parts = "return ['h1', 'footer', 'script']
            .map(part => document.querySelectorAll(part).length);";
        assert_eq!(browser.ask(parts).await, json!([1, 1, 1]), "{film}");
        assert_eq!(browser.complaints().await, [""; 0], "{film}");
    }
    stage.assert_nothing_ran("/movies/{id}").await;
}

/// The writing direction of a text must not affect other text on its line.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_does_not_turn_its_neighbours_around() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage
        .browser
        .open(&format!("{}/movies", stage.server.url()))
        .await;
    // The places of all letters outside the data: they must go from left to right.
    let backwards = "const places = node => [...node.data].flatMap((letter, at) => {
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            const box = range.getBoundingClientRect();
            return letter.trim() && box.width ? [[box.top, box.left]] : [];
        });
        const all = what => [...document.querySelectorAll(what)];
        const years = all('.year').filter(year => year.textContent === '(1999)');
        const honest = all('tbody tr').at(-1).querySelectorAll('bdi, .year');
        const plain = all('h1, .age, caption, thead th, .unknown, footer p');
        const turned = [...years, ...honest, ...plain]
            .flatMap(one => [...one.childNodes])
            .filter(node => node.nodeType === Node.TEXT_NODE)
            .filter(node => places(node).some(([top, left], at, all) =>
                at > 0 && top === all[at - 1][0] && left < all[at - 1][1]))
            .map(node => node.data);
        return [years.length, honest.length, turned];";
    let found = stage.browser.ask(backwards).await;
    assert_eq!(found, json!([stage.texts.len(), 2, []]));
}
