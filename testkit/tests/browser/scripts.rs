//! Bodies that are not pages: JSON and JSONP, opened directly and used from other origins.

use std::path::Path;

use serde_json::{Value, json};
use testkit::catalogue;
use testkit::client::get;
use testkit::mirror::Mirror;
use testkit::sample::COLLECTIONS;
use testkit::{TIME_LIMIT, eventually};

use crate::{Browser, Stage};

/// Names of callbacks that try more; `TRAP` is the address that nothing may request.
const CALLBACKS: [&str; 16] = [
    "window.ran=true;cb",
    "window.ran=true//",
    "(window.ran=true)",
    "cb);window.ran=true;(",
    "eval('window.ran=true')",
    "alert(1)",
    "</script><script>window.ran=true</script>",
    "<script>window.ran=true</script>",
    "<img src=TRAP onerror=window.ran=true>",
    "*/window.ran=true;/*",
    "\u{2028}window.ran=true\u{2028}",
    "\nwindow.ran=true\n",
    "`${window.ran=true}`",
    "{}*{background:url(TRAP)}",
    "@import'TRAP';",
    "\0\u{feff}+ADw-script+AD4-window.ran=true",
];

/// A query string with this callback.
fn called(name: &str) -> String {
    let escaped: Vec<_> = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("callback={}", escaped.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn json_opened_as_a_page_is_json_and_runs_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let mut paths = COLLECTIONS.map(|name| format!("/{name}")).to_vec();
    paths.extend(["/db".to_owned(), "/films/film-0".to_owned()]);
    for path in paths {
        let url = format!("{}{path}", stage.server.url());
        stage.browser.open(&url).await;
        let kind = stage.browser.ask("return document.contentType;").await;
        assert_eq!(kind, "application/json", "{path}");
        let text = stage
            .browser
            .ask("return document.querySelector('pre').textContent;")
            .await;
        let text: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        let expected = match &*path {
            "/db" => &stage.catalogue,
            "/films/film-0" => &stage.catalogue["films"][0],
            collection => &stage.catalogue[&collection[1..]],
        };
        assert_eq!(&text, expected, "{path}");
        stage.assert_nothing_ran(&path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_get_exactly_the_data() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (browser, server) = (&stage.browser, stage.server.url());
    let script = |name| format!("<script src=\"{server}/{name}?callback=on.{name}\"></script>");
    let scripts = COLLECTIONS.map(script).concat();
    let page = format!(
        "<script>window.got = {{}}; window.on = {{}};
            for (const name of {names})
                on[name] = data => {{ got[name] = data; }};
        </script>{scripts}",
        names = json!(COLLECTIONS),
    );
    browser.open(&stage.elsewhere.show("jsonp", &page)).await;
    let got = browser.ask("return JSON.stringify(got);").await;
    let got: Value = serde_json::from_str(got.as_str().unwrap()).unwrap();
    assert_eq!(got, stage.catalogue);
    stage.assert_nothing_ran("JSONP").await;

    let fetch =
        format!("return fetch('{server}/db').then(answer => answer.json()).then(JSON.stringify);");
    let got = browser.ask(&fetch).await;
    let got: Value = serde_json::from_str(got.as_str().unwrap()).unwrap();
    assert_eq!(got, stage.catalogue);
    stage.assert_nothing_ran("fetch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_a_name_and_nothing_more() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (browser, server) = (&stage.browser, stage.server.url());
    let trap = format!("{}/trap", stage.elsewhere.url());
    for name in CALLBACKS {
        let url = format!("{server}/films?{}", called(&name.replace("TRAP", &trap)));
        // The body calls a function with a plain name, or nothing.
        let body = get(&url).await.text();
        let (_, rest) = body.split_once("/**/ typeof ").unwrap();
        let (callee, _) = rest.split_once(" === 'function' && ").unwrap();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_$.[]".contains(letter);
        assert!(callee.chars().all(is_plain), "{name}: {callee}");

        // Opened as a page: the body must not be one.
        browser.open(&url).await;
        let kind = browser.ask("return document.contentType;").await;
        assert_eq!(kind, "text/javascript", "{name}");
        let shown = browser
            .ask("return document.querySelector('pre').textContent;")
            .await;
        assert!(shown.as_str().unwrap().contains(callee), "{name}");
        stage.assert_nothing_ran(name).await;

        // Loaded as a script by another origin.
        let script = format!("<script src=\"{url}\"></script><p>loaded</p>");
        browser.open(&stage.elsewhere.show("script", &script)).await;
        assert_eq!(
            browser
                .ask("return document.querySelector('p').textContent;")
                .await,
            "loaded"
        );
        stage.assert_nothing_ran(name).await;
    }
    let page = "<script>window.cb = data => { window.got = data.length; };</script>";
    let page = format!("{page}<script src=\"{server}/films?callback=cb\"></script>");
    browser.open(&stage.elsewhere.show("honest", &page)).await;
    let films = stage.catalogue["films"].as_array().unwrap().len();
    assert_eq!(browser.ask("return window.got;").await, films);
}

/// A browser treats a body as its type says, whatever it looks like.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_taken_for_a_stylesheet_or_a_script() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (browser, server) = (&stage.browser, stage.server.url());
    let sheet = called("{}*{background:red}");
    let sheets = [
        format!("{server}/films"),
        format!("{server}/films?{sheet}"),
        format!("{server}/movies"),
        format!("{server}/films?limit=x}}*{{background:red}}"),
    ];
    // Without a doctype: browsers then accept most things as stylesheets.
    let mut body = String::new();
    for url in &sheets {
        body += &*format!("<link rel=stylesheet href=\"{url}\">");
        if !url.contains("callback") {
            body += &*format!("<script src=\"{url}\" onload=\"window.ran=true\"></script>");
        }
    }
    let page = stage.elsewhere.show_as_is("quirky", &body);
    browser.open(&page).await;
    let sheets = "return [document.compatMode, document.styleSheets.length,
        getComputedStyle(document.body).backgroundColor];";
    let loaded = browser.ask(sheets).await;
    assert_eq!(loaded[0], "BackCompat");
    assert_eq!(loaded[2], "rgba(0, 0, 0, 0)");
    stage.assert_nothing_ran("as stylesheet and script").await;

    // Any origin may use the stylesheet itself.
    let link = format!("<link rel=stylesheet href=\"{server}/style.css\">");
    browser
        .open(&stage.elsewhere.show_as_is("styled", &link))
        .await;
    assert_eq!(browser.ask(sheets).await[2], "rgb(251, 250, 246)");
}

/// The page also shows operators' settings as text, and a cache into which an attacker has
/// written.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_shown_as_text_wherever_they_come_from() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let hostile = "http://host.example/it's&lt;&#60;\"><script>window.ran=true</script>{{7*7}}";
    for mirror in [Mirror::built_in().await, Mirror::of(catalogue()).await] {
        let directory = mirror.cache_url().replacen("file:", "", 1);
        let file = Path::new(&directory).join("snapshot.json");
        let stored = std::fs::read_to_string(&file).unwrap();
        let mut snapshot: Value = serde_json::from_str(&stored).unwrap();
        let upstream = snapshot["upstream"].take();
        assert!(upstream.is_string());
        snapshot["upstream"] = hostile.into();
        std::fs::write(&file, snapshot.to_string()).unwrap();

        // A fragment is refused at the start.
        let public = hostile.replace("&#60;", "");
        let server = mirror.server(&[("PUBLIC_URL", &public)]).await;
        let movies = format!("{}/movies", server.url());
        let shown = async || {
            browser.open(&movies).await;
            let text = browser.ask("return document.body.textContent;").await;
            text.as_str().unwrap().contains(hostile)
        };
        eventually("the address on the page", TIME_LIMIT, shown).await;
        let below = "/it's&lt;";
        for (path, own_scripts) in [("/movies", 2), ("/docs", 1)] {
            browser.open(&format!("{}{path}", server.url())).await;
            let scripts = "return document.querySelectorAll('script').length;";
            assert_eq!(browser.ask(scripts).await, own_scripts, "{path}");
            assert_eq!(
                browser.ask("return window.ran;").await,
                Value::Null,
                "{path}"
            );
            let astray = "return [...document.querySelectorAll('[href]')]
                .map(one => one.getAttribute('href'))
                .filter(href => !href.startsWith(arguments[0]) && !href.startsWith('#'));";
            let astray = browser.run(astray, &[below.into()]).await.unwrap();
            assert_eq!(astray, json!([]), "{path}");
        }
    }
}
