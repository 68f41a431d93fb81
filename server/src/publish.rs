//! What the server serves now. It renders here, off the request path, and serves the old
//! generation until the new one is rendered.

use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::follow::Known;
use crate::http::heads::Freshness;
use crate::pages;
use crate::render::{Body, Links, RenderedCatalogue};

/// Everything that the answer to a request may need.
#[derive(Debug)]
pub struct View {
    /// The JSON bodies.
    pub site: Arc<RenderedCatalogue>,
    /// `/movies`.
    pub movies: Body,
    /// How current they are.
    pub freshness: Freshness,
}

/// Where requests find the [`View`]; empty until the first snapshot is loaded.
pub type Published = Arc<ArcSwapOption<View>>;

/// Publishes a new generation as soon as it is rendered, and a new status at once. Paths in pages
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
        let Known {
            snapshot, status, ..
        } = known.borrow_and_update().clone();
        let Some(snapshot) = snapshot else { continue };
        let freshness = Freshness::of(status.as_ref());
        let view = match published.load_full() {
            Some(view) if view.site.generation == snapshot.generation => View {
                site: view.site.clone(),
                movies: view.movies.clone(),
                freshness,
            },
            earlier => {
                let (links, prefix) = (links.clone(), prefix.clone());
                let rendered = spawn_blocking(move || View {
                    site: Arc::new(RenderedCatalogue::render(
                        &snapshot,
                        &links,
                        earlier.as_ref().map(|view| &*view.site),
                    )),
                    movies: pages::movies(&snapshot, &prefix),
                    freshness,
                });
                rendered.await.context("rendering failed")?
            }
        };
        published.store(Some(Arc::new(view)));
    }
}
