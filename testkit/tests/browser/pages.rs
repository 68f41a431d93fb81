//! The pages with honest data are complete, styled and fit every screen, and refuse all else.

use serde_json::json;
use testkit::catalogue;
use testkit::mirror::Mirror;
use testkit::{TIME_LIMIT, eventually};

use crate::{Browser, Elsewhere};

/// How much wider than the screen the page is, in CSS pixels.
pub(crate) const OVERHANG: &str = "const page = document.documentElement;
    return page.scrollWidth - page.clientWidth;";

const STYLE: &str = "const style = getComputedStyle(document.body);
    return [style.backgroundColor, style.color, style.maxWidth];";

#[tokio::test(flavor = "multi_thread")]
async fn pages_load_whole_and_styled_without_an_error() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for (path, width) in [("/movies", "1280px"), ("/docs", "896px")] {
        browser.open(&format!("{}{path}", server.url())).await;
        let none: [&str; 0] = [];
        assert_eq!(browser.complaints().await, none, "{path}");
        for (scheme, ground, text) in [
            ("light", "rgb(251, 250, 246)", "rgb(31, 42, 46)"),
            ("dark", "rgb(22, 32, 31)", "rgb(232, 230, 223)"),
        ] {
            browser.prefer(scheme).await;
            let style = browser.ask(STYLE).await;
            assert_eq!(style, json!([ground, text, width]), "{path} {scheme}");
        }
        // A browser without a window does not load the icon, so the test requests it.
        let icon = "const icon = new Image();
            icon.src = document.querySelector('link[rel=icon]').href;
            document.body.append(icon);
            return icon.decode().then(() => icon.naturalWidth > 0);";
        assert_eq!(browser.ask(icon).await, true, "{path}");
        assert_eq!(browser.complaints().await, none, "{path}");
    }
    browser.open(&format!("{}/movies", server.url())).await;
    let rows = "return document.querySelectorAll('tbody tr').length;";
    assert_eq!(browser.ask(rows).await, 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_any_screen() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    for path in ["/movies", "/docs"] {
        browser.open(&format!("{}{path}", server.url())).await;
        for width in [320, 360, 768, 769, 1024, 1280, 1920] {
            browser.resize(width, 800).await;
            assert_eq!(browser.ask("return window.innerWidth;").await, width);
            assert_eq!(browser.ask(OVERHANG).await, 0, "{path} at {width}");
        }
    }
}

/// Even if text became markup, it would do nothing: the test puts each of these into the page by
/// force.
#[tokio::test(flavor = "multi_thread")]
async fn policies_stop_injected_content() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let elsewhere = Elsewhere::start().await;
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    // The other origin has no policies: each intruder must work there, or this test proves nothing.
    let page = elsewhere.show("open", "");
    for (number, (what, intrude)) in intruders(elsewhere.url()).iter().enumerate() {
        browser.open(&page).await;
        browser.ask(intrude).await;
        let sprung = async || {
            let ran = browser.ask("return window.ran === true;").await;
            ran == true || !elsewhere.asked(&trap(number)).is_empty()
        };
        eventually(
            &format!("{what} to work without policies"),
            TIME_LIMIT,
            sprung,
        )
        .await;
    }

    let never = Elsewhere::start().await;
    for path in ["/movies", "/docs"] {
        for (what, intrude) in &intruders(never.url()) {
            browser.open(&format!("{}{path}", server.url())).await;
            browser.ask(intrude).await;
            let refused = async || {
                let complaints = browser.complaints().await;
                let of_policy = |line: &String| line.contains("Content Security Policy");
                complaints.iter().any(of_policy)
            };
            eventually(&format!("{what} to be refused"), TIME_LIMIT, refused).await;
            let state = "return [window.ran === undefined, document.baseURI === document.URL];";
            assert_eq!(
                browser.ask(state).await,
                json!([true, true]),
                "{path}: {what}"
            );
        }
    }
    assert_eq!(never.asked("/"), [""; 0]);

    for feature in ["camera", "geolocation", "microphone", "usb", "fullscreen"] {
        let allowed = format!("return document.featurePolicy.allowsFeature('{feature}');");
        assert_eq!(browser.ask(&allowed).await, false, "{feature}");
    }
}

/// The address that only this intruder requests.
fn trap(number: usize) -> String {
    format!("/trap{number:02}")
}

/// Ways to run or load something; each is a script that puts it into the page.
fn intruders(elsewhere: &str) -> Vec<(&'static str, String)> {
    let as_html = [
        ("event handler", "<img src=x: onerror='window.ran = true'>"),
        ("picture from elsewhere", "<img src=TRAP>"),
        ("inline style", "<p style='background: url(TRAP)'>x</p>"),
        (
            "inline stylesheet",
            "<style>p { background: url(TRAP) }</style><p>x</p>",
        ),
        ("frame", "<iframe src=TRAP></iframe>"),
        (
            "frame with a document of its own",
            "<iframe srcdoc='<script>parent.ran = true</script>'></iframe>",
        ),
        ("object", "<object data=TRAP></object>"),
        ("base", "<base href=TRAP/><img src=picture>"),
    ];
    let as_elements = [
        (
            "inline script",
            "script",
            "textContent: 'window.ran = true'",
        ),
        ("script from elsewhere", "script", "src: 'TRAP'"),
        ("stylesheet", "link", "rel: 'stylesheet', href: 'TRAP'"),
    ];
    let as_actions = [
        ("request", "fetch('TRAP').catch(() => {});"),
        (
            "form",
            "const form = document.createElement('form');
            form.action = 'TRAP';
            document.body.append(form);
            form.submit();",
        ),
        (
            "link to a script",
            "const link = document.createElement('a');
            link.href = 'javascript:window.ran = true';
            document.body.append(link);
            link.click();",
        ),
    ];
    let html = as_html.map(|(what, html)| {
        let html = json!(html);
        let at = "document.body.appendChild(document.createElement('div'))";
        (what, format!("{at}.innerHTML = {html};"))
    });
    let elements = as_elements.map(|(what, name, fields)| {
        let element = format!("Object.assign(document.createElement('{name}'), {{{fields}}})");
        (what, format!("document.body.append({element});"))
    });
    let actions = as_actions.map(|(what, action)| (what, action.to_owned()));
    let all = html.into_iter().chain(elements).chain(actions);
    let numbered = all.enumerate().map(|(number, (what, script))| {
        let trap = format!("{elsewhere}{}", trap(number));
        (what, script.replace("TRAP", &trap))
    });
    numbered.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_can_neither_frame_a_page_nor_keep_hold_of_its_window() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let elsewhere = Elsewhere::start().await;
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    elsewhere.show("ours", "<h1>ours</h1>");
    let (movies, docs) = (
        format!("{}/movies", server.url()),
        format!("{}/docs", server.url()),
    );
    let frame = |address| format!("<iframe src=\"{address}\"></iframe>");
    let frames = ["/ours", &movies, &docs].map(frame).concat();
    browser.open(&elsewhere.show("frames", &frames)).await;
    let heading = "return location.protocol + document.querySelector('h1')?.textContent;";
    assert_eq!(browser.ask_frame(0, heading).await, "http:ours");
    for number in [1, 2] {
        let shown = browser.ask_frame(number, heading).await;
        assert!(
            shown.as_str().unwrap().starts_with("chrome-error:"),
            "{shown}"
        );
    }

    // Without the policy, a page keeps hold of the window that it opened.
    let open = format!(
        "window.data = window.open('{0}/films'); window.page = window.open('{0}/movies');",
        server.url()
    );
    browser.ask(&open).await;
    let lost = async || browser.ask("return window.page.closed;").await == true;
    eventually("the page to be out of reach", TIME_LIMIT, lost).await;
    let loaded = async || {
        let url = "try { return window.data.location.href; } catch { return 'elsewhere'; }";
        browser.ask(url).await == "elsewhere"
    };
    eventually("the data to load", TIME_LIMIT, loaded).await;
    assert_eq!(browser.ask("return window.data.closed;").await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_send_no_referrer() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[]).await;
    browser.open(&format!("{}/movies", server.url())).await;
    browser
        .ask("document.querySelector('a[href$=docs]').click();")
        .await;
    let arrived = async || browser.ask("return document.title;").await == "Reference";
    eventually("the reference", TIME_LIMIT, arrived).await;
    assert_eq!(browser.ask("return document.referrer;").await, "");
}
