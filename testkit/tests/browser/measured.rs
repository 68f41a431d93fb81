//! What a page costs a slow device: paint, bytes, requests and layout shift.
//!
//! `cargo test --test browser -- --ignored --nocapture measured` prints a table. Figures of debug
//! programs say nothing about the server.

use serde_json::json;
use testkit::catalogue;
use testkit::mirror::Mirror;

use crate::Browser;

/// How much slower than this machine the device is.
const SLOWER: u32 = 4;

const FIGURES: &str = "const shifts = await new Promise(resolve => {
        const seen = [];
        new PerformanceObserver(list => seen.push(...list.getEntries()))
            .observe({type: 'layout-shift', buffered: true});
        setTimeout(() => resolve(seen), 1500);
    });
    const [page] = performance.getEntriesByType('navigation');
    const parts = performance.getEntriesByType('resource');
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    const bytes = [page, ...parts].reduce((sum, one) => sum + one.transferSize, 0);
    const shift = shifts.reduce((sum, one) => sum + one.value, 0);
    return [Math.round(paint.startTime), bytes, 1 + parts.length, shift.toFixed(4)];";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and asserts nothing"]
async fn pages_are_measured_on_a_slow_device() {
    let browser = Browser::start().await.unwrap();
    let mirror = Mirror::of(catalogue()).await;
    let server = mirror.server(&[("POSTERS", "off")]).await;
    let rate = json!({"rate": SLOWER});
    browser
        .command("Emulation.setCPUThrottlingRate", rate)
        .await;
    // Without this, the next command has no effect.
    browser.command("Network.enable", json!({})).await;
    browser
        .command("Network.setCacheDisabled", json!({"cacheDisabled": true}))
        .await;
    println!("| page | first contentful paint, ms | bytes | requests | layout shift |");
    println!("|---|--:|--:|--:|--:|");
    for path in [
        "/movies",
        "/movies?view=cards",
        "/movies/2baf70d1-42bb-4437-b551-e5fed5a87abe",
    ] {
        let mut rounds = Vec::new();
        for _ in 0..5 {
            browser.open(&format!("{}{path}", server.url())).await;
            let script = format!("return (async () => {{ {FIGURES} }})();");
            rounds.push(browser.ask(&script).await);
        }
        rounds.sort_by_key(|round| round[0].as_u64());
        let [paint, bytes, requests, shift] = [0, 1, 2, 3].map(|at| rounds[2][at].to_string());
        let shift = shift.trim_matches('"');
        println!("| `{path}` | {paint} | {bytes} | {requests} | {shift} |");
    }
}
