//! What the server serves now. It renders here, off the request path, and serves the old
//! generation until the new one is rendered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::status::Status;
use shared::log;
use shared::service::telemetry::events;
use tokio::sync::{oneshot, watch};

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

/// How long the thread sleeps before it compresses, for the same reason: niceness alone does not
/// keep a busy core from it.
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
            let (published, events) = (published.clone(), events.clone());
            behind_requests(move || {
                publish(
                    snapshot,
                    status.as_ref(),
                    &links,
                    &base,
                    posters,
                    &published,
                    &events,
                );
            })
            .await
            .context("rendering failed")?;
            if !is_ready && let Some(generation) = known.generation {
                is_ready = true;
                log!(
                    events::SERVER_READY,
                    generation,
                    "ready: generation {generation} is served"
                );
            }
        } else if let Some(view) = published.load_full() {
            published.store(Some(Arc::new(View {
                catalogue: view.catalogue.clone(),
                pages: view.pages.clone(),
                news: view.news.clone(),
                facts: view.facts.clone(),
                freshness: Freshness::of(status.as_ref()),
            })));
        }
    }
}

/// Renders a snapshot and publishes it, first without compression, so that clients see new content
/// as soon as possible. Also frees what it replaces, which takes long if it is large.
#[expect(
    clippy::disallowed_methods,
    reason = "sleeps on a thread of its own, which serves no request"
)]
fn publish(
    snapshot: Arc<Snapshot>,
    status: Option<&Status>,
    links: &Links,
    base: &Arc<str>,
    posters: Posters,
    published: &Published,
    events: &Events,
) {
    let freshness = || Freshness::of(status);
    let earlier = published.load_full().map(|view| view.catalogue.clone());
    let catalogue = RenderedCatalogue::render(&snapshot, links, earlier.as_deref());
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
        freshness: freshness(),
    });
    published.store(Some(view.clone()));
    // Now a client that hears of a film finds it here.
    events.publish(log);
    yield_to_others(COMPRESSING);
    std::thread::sleep(LEISURE);
    published.store(Some(Arc::new(View {
        catalogue: Arc::new(view.catalogue.compressed()),
        pages: Arc::new(view.pages.compressed()),
        news: Arc::new(view.news.compressed()),
        facts: view.facts.clone(),
        freshness: freshness(),
    })));
}

/// Does work on a thread of its own that lets the threads of requests go first. `None` if the work
/// panics.
async fn behind_requests(work: impl FnOnce() + Send + 'static) -> Option<()> {
    let (done, finished) = oneshot::channel();
    let thread = std::thread::Builder::new().name("render".into());
    let work = move || {
        yield_to_others(RENDERING);
        work();
        let _ = done.send(());
    };
    thread.spawn(work).ok()?;
    finished.await.ok()
}

/// Lets threads with a lower niceness go first. Where the system refuses, all have the same share.
fn yield_to_others(niceness: i32) {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness);
}
