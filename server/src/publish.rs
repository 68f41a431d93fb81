//! What the server serves now. It renders here, off the request path, and serves the old
//! generation until the new one is rendered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use shared::catalogue::snapshot::Snapshot;
use shared::log;
use shared::service::telemetry::events;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::config::Posters;
use crate::events::{Events, Log};
use crate::feeds::News;
use crate::follow::Known;
use crate::http::heads::Freshness;
use crate::pages::Pages;
use crate::render::{Links, RenderedCatalogue};
use crate::status::Facts;

/// The largest small catalogue, in bytes of JSON; three times the upstream's.
const MOST_SMALL: usize = 256 << 10;

/// How much the threads of requests, which have 0, go before the one that renders.
const RENDERING: i32 = 5;

/// On a machine with several readers, all should render before one compresses.
const COMPRESSING: i32 = 19;

/// The pause before compressing, for the same reason: niceness alone does not keep it off a busy
/// core.
const LEISURE: Duration = Duration::from_millis(100);

/// Everything that the answer to a request may need.
#[derive(Debug)]
pub struct View {
    /// The JSON bodies.
    pub catalogue: Arc<RenderedCatalogue>,
    /// The pages.
    pub pages: Arc<Pages>,
    /// The feeds and the release log.
    pub news: Arc<News>,
    /// What `/status` shows of the snapshot.
    pub facts: Arc<Facts>,
    /// How current they are.
    pub freshness: Freshness,
}

impl View {
    /// Whether all records together are so few that a light query may be answered on the threads
    /// that serve connections.
    pub(crate) fn is_small(&self) -> bool {
        self.catalogue.db.identity.bytes.len() <= MOST_SMALL
    }

    /// The same with every body compressed.
    fn compressed(&self, freshness: Freshness) -> Self {
        Self {
            catalogue: Arc::new(self.catalogue.compressed()),
            pages: Arc::new(self.pages.compressed()),
            news: Arc::new(self.news.compressed()),
            facts: self.facts.clone(),
            freshness,
        }
    }

    /// The same, confirmed at other times.
    fn confirmed(&self, freshness: Freshness) -> Self {
        Self {
            catalogue: self.catalogue.clone(),
            pages: self.pages.clone(),
            news: self.news.clone(),
            facts: self.facts.clone(),
            freshness,
        }
    }
}

/// Where requests find the [`View`]; empty until the first snapshot is loaded.
pub type Published = Arc<ArcSwapOption<View>>;

/// Publishes a new generation as soon as it is rendered, with its events, once more when it is
/// compressed, and a new status at once. Clients know the mirror under `base`.
///
/// # Errors
/// When rendering panics, or when the task that follows the cache has ended. The process should
/// end then.
pub async fn run(
    mut known: watch::Receiver<Known>,
    links: Links,
    base: String,
    posters: Posters,
    published: Published,
    events: Events,
) -> anyhow::Result<()> {
    let (links, base): (Arc<Links>, Arc<str>) = (links.into(), base.into());
    let mut is_ready = false;
    loop {
        known
            .changed()
            .await
            .context("the cache is not followed any more")?;
        let known = known.borrow_and_update().clone();
        let status = known.status.clone();
        if let Some(snapshot) = known.take_snapshot() {
            let (links, base) = (links.clone(), base.clone());
            let (publication, events) = (published.clone(), events.clone());
            let freshness = Freshness::of(status.as_ref());
            let render = move || {
                publish(
                    snapshot,
                    freshness,
                    &links,
                    &base,
                    posters,
                    &publication,
                    &events,
                )
            };
            let view = behind_requests(RENDERING, render).await;
            let view = view.context("rendering failed")?;
            if !is_ready && let Some(generation) = known.generation {
                is_ready = true;
                log!(
                    events::SERVER_READY,
                    generation,
                    "ready: generation {generation} is served"
                );
            }
            sleep(LEISURE).await;
            let publication = published.clone();
            let freshness = Freshness::of(status.as_ref());
            let compress = move || publication.store(Some(Arc::new(view.compressed(freshness))));
            let done = behind_requests(COMPRESSING, compress).await;
            done.context("compressing failed")?;
        } else if let Some(view) = published.load_full() {
            let freshness = Freshness::of(status.as_ref());
            published.store(Some(Arc::new(view.confirmed(freshness))));
        }
    }
}

/// Renders a snapshot and publishes it, without compression, so that clients see new content as soon
/// as possible. Also frees what it replaces, which takes long if it is large.
fn publish(
    mut snapshot: Snapshot,
    freshness: Freshness,
    links: &Links,
    base: &Arc<str>,
    posters: Posters,
    published: &Published,
    events: &Events,
) -> Arc<View> {
    let earlier = published.load_full().map(|view| view.catalogue.clone());
    links.rewrite(&mut snapshot);
    let catalogue = RenderedCatalogue::render(&snapshot, earlier.as_deref());
    let pages = Arc::new(Pages::render(&snapshot, &catalogue, base, posters));
    let news = Arc::new(News::render(&snapshot, base));
    let facts = Arc::new(Facts::of(&snapshot));
    let log = Log::of(&snapshot, base);
    drop((snapshot, earlier));
    let view = Arc::new(View {
        catalogue: Arc::new(catalogue),
        pages,
        news,
        facts,
        freshness,
    });
    // The earlier view is dropped after that, because freeing it may take long.
    let _earlier = events.publish(log, || published.swap(Some(view.clone())));
    view
}

/// Does work on a thread of its own that lets the threads of requests go first. `None` if the work
/// panics.
async fn behind_requests<T: Send + 'static>(
    niceness: i32,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, finished) = oneshot::channel();
    let thread = std::thread::Builder::new().name("render".into());
    let work = move || {
        yield_to_others(niceness);
        let _ = done.send(work());
    };
    thread.spawn(work).ok()?;
    finished.await.ok()
}

/// Lets threads with a lower niceness go first. Where the system refuses, all have the same share.
fn yield_to_others(niceness: i32) {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness);
}
