//! Pictures of every page and state: people look at them for what no assertion can check.
//!
//! `cargo xtask screenshots` writes them. The README shows two of them.

use std::path::{Path, PathBuf};

use testkit::client::get;
use testkit::mirror::Mirror;
use testkit::process::{Poller, Server};
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::{Browser, Elsewhere, hostile};

const FILM: &str = "2baf70d1-42bb-4437-b551-e5fed5a87abe";
const PERSON: &str = "fe93adf2-2f3a-4ec4-9f68-5422f1b87c01";

struct Album {
    browser: Browser,
    folder: PathBuf,
}

impl Album {
    /// Pictures of the open page on a phone and on a desk, in light and dark.
    async fn add(&self, name: &str) {
        for (screen, width, height) in [("phone", 390, 844), ("desk", 1280, 800)] {
            self.browser.resize(width, height).await;
            for scheme in ["dark", "light"] {
                self.browser.prefer(scheme).await;
                let file = format!("{name}-{screen}-{scheme}.png");
                self.browser.picture(&self.folder.join(file)).await;
            }
        }
    }

    async fn visit(&self, name: &str, url: &str) {
        self.browser.open(url).await;
        self.add(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes pictures for people to look at, and asserts nothing"]
async fn the_pages_are_pictured() {
    let folder = std::env::var_os("PICTURES").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).unwrap();
    let browser = Browser::start().await.unwrap();
    let album = Album { browser, folder };

    let mirror = Mirror::of(catalogue()).await;
    // Pictures must not depend on whether another host answers.
    let server = mirror.server(&[("POSTERS", "off")]).await;
    let film = format!("/movies/{FILM}");
    let person = format!("/movies/people/{PERSON}");
    for (name, path) in [
        ("movies", "/movies"),
        ("cards", "/movies?view=cards"),
        ("found", "/movies?q=castle"),
        ("director", "/movies?director=Hayao+Miyazaki&view=cards"),
        ("not-found", "/movies?q=nothing+has+this"),
        ("film", &film),
        ("person", &person),
        ("status-well", "/status"),
        ("docs", "/docs"),
        ("error", "/nothing"),
    ] {
        album.visit(name, &format!("{}{path}", server.url())).await;
    }

    album
        .browser
        .open(&format!("{}/movies", server.url()))
        .await;
    mirror.upstream.release("The Boy and the Heron");
    mirror.sync().await;
    let is_there = "return document.querySelector('.news a') !== null;";
    eventually("the new film", TIME_LIMIT, async || {
        album.browser.ask(is_there).await == true
    })
    .await;
    album.add("new-film").await;

    let films = catalogue()["films"].as_array().unwrap()[..4].to_vec();
    mirror.upstream.replace("films", films);
    let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url())
        .start()
        .await;
    let status = format!("{}/status", server.url());
    eventually("the rejected answer on /status", TIME_LIMIT, async || {
        get(&status).await.text().contains("rejects")
    })
    .await;
    album.visit("status-rejected", &status).await;
    drop(poller);

    let built_in = Mirror::built_in().await;
    let server = built_in.server(&[("POSTERS", "off")]).await;
    album
        .visit("built-in", &format!("{}/movies", server.url()))
        .await;
    let empty = tempfile::tempdir().unwrap();
    let server = Server::new(&format!("file:{}", empty.path().display()))
        .start()
        .await;
    album
        .visit("empty", &format!("{}/movies", server.url()))
        .await;

    let trap = Elsewhere::start().await;
    let texts = hostile::texts(&format!("{}/trap", trap.url()));
    let hostile = Mirror::of(hostile::catalogue(&texts)).await;
    let server = hostile.server(&[("POSTERS", "off")]).await;
    album
        .visit("hostile", &format!("{}/movies", server.url()))
        .await;
    println!("pictures are in {}", album.folder.display());
}
