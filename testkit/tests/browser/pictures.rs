//! Pictures of the pages: people look at them for what no assertion can check.
//!
//! `cargo test -p testkit --test browser -- --ignored` writes them below the target directory. The
//! README shows `honest-movies-1200-light.png`.

use std::path::Path;

use testkit::catalogue;
use testkit::mirror::Mirror;

use crate::{Browser, Elsewhere, hostile};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes pictures for people to look at, and asserts nothing"]
async fn the_pages_are_pictured() {
    let browser = Browser::start().await.unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&directory).unwrap();
    let trap = Elsewhere::start().await;
    let texts = hostile::texts(&format!("{}/trap", trap.url()));

    for (name, data) in [
        ("honest", catalogue()),
        ("hostile", hostile::catalogue(&texts)),
    ] {
        let mirror = Mirror::of(data).await;
        let server = mirror.server(&[]).await;
        for path in ["/movies", "/docs"] {
            browser.open(&format!("{}{path}", server.url())).await;
            for scheme in ["dark", "light"] {
                browser.prefer(scheme).await;
                for (width, height) in [(1200, 637), (800, 800), (360, 800)] {
                    browser.resize(width, height).await;
                    let name = format!("{name}-{}-{width}-{scheme}.png", &path[1..]);
                    browser.picture(&directory.join(name)).await;
                }
            }
        }
    }
    println!("pictures are in {}", directory.display());
}
