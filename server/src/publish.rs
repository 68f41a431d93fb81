//! What the server serves now. It renders here, off the request path, and serves the old
//! generation until the new one is rendered.

use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use shared::catalogue::snapshot::Snapshot;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::follow::Known;
use crate::http::heads::Freshness;
use crate::pages;
use crate::render::{Body, Compression, HTML, Links, RenderedCatalogue};

/// The largest small catalogue, in bytes of JSON; three times the upstream's.
const MOST_SMALL: usize = 256 << 10;

/// Everything that the answer to a request may need.
#[derive(Debug)]
pub struct View {
    /// The JSON bodies.
    pub catalogue: Arc<RenderedCatalogue>,
    /// `/movies`.
    pub movies: Body,
    /// How current they are.
    pub freshness: Freshness,
}

impl View {
    fn render(
        snapshot: &Snapshot,
        links: &Links,
        prefix: &str,
        compression: Compression<'_>,
        freshness: Freshness,
    ) -> Self {
        let catalogue = RenderedCatalogue::render(snapshot, links, compression);
        let movies = compression.body(HTML, pages::movies(snapshot, &catalogue, prefix), |_| None);
        Self {
            catalogue: Arc::new(catalogue),
            movies,
            freshness,
        }
    }

    /// Whether all records together are so few that a light query may be answered on the threads
    /// that serve connections.
    pub(crate) fn is_small(&self) -> bool {
        self.catalogue.db.identity.bytes.len() <= MOST_SMALL
    }
}

/// Where requests find the [`View`]; empty until the first snapshot is loaded.
pub type Published = Arc<ArcSwapOption<View>>;

/// Publishes a new generation as soon as it is rendered, once more when it is compressed, and a new
/// status at once. Paths in pages
/// begin with `prefix`.
///
/// # Errors
/// When rendering panics, or when the task that follows the cache has ended. The process should
/// end then.
pub async fn run(
    mut known: watch::Receiver<Known>,
    links: Links,
    prefix: String,
    published: Published,
) -> anyhow::Result<()> {
    loop {
        known
            .changed()
            .await
            .context("the cache is not followed any more")?;
        let known = known.borrow_and_update().clone();
        let freshness = || Freshness::of(known.status.as_ref());
        let earlier = published.load_full();
        let Some(snapshot) = known.take_snapshot() else {
            if let Some(view) = earlier {
                published.store(Some(Arc::new(View {
                    catalogue: view.catalogue.clone(),
                    movies: view.movies.clone(),
                    freshness: freshness(),
                })));
            }
            continue;
        };
        // Clients see new content before it is compressed.
        for is_urgent in [true, false] {
            let (snapshot, links, prefix) = (snapshot.clone(), links.clone(), prefix.clone());
            let (earlier, freshness) = (earlier.clone(), freshness());
            let rendering = spawn_blocking(move || {
                let earlier = earlier.as_ref().map(|view| &*view.catalogue);
                let compression = if is_urgent {
                    Compression::Later(earlier)
                } else {
                    Compression::Now(earlier)
                };
                View::render(&snapshot, &links, &prefix, compression, freshness)
            });
            let view = rendering.await.context("rendering failed")?;
            published.store(Some(Arc::new(view)));
        }
    }
}
