//! What is served now. Rendering happens here, off the request path; until it is done the old
//! generation serves.

use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use shared::status::Status;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::follow::Known;
use crate::pages;
use crate::render::{Body, Links, Site};

/// Everything that a request may need.
#[derive(Clone, Debug)]
pub struct View {
    /// The JSON bodies.
    pub site: Arc<Site>,
    /// `/movies`.
    pub movies: Body,
    /// What the last syncs did.
    pub status: Option<Status>,
}

/// Where requests find the [`View`]; empty until something was loaded.
pub type Published = Arc<ArcSwapOption<View>>;

/// Publishes whatever becomes known: a new generation as soon as it is rendered, a new status at
/// once. Paths in pages begin with `prefix`.
///
/// # Errors
/// When rendering panics, or nobody follows the cache any more; the process should end then.
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
        let view = match published.load_full() {
            Some(view) if view.site.generation == snapshot.generation => View {
                status,
                ..View::clone(&view)
            },
            earlier => {
                let (links, prefix) = (links.clone(), prefix.clone());
                let rendered = spawn_blocking(move || View {
                    site: Arc::new(Site::render(
                        &snapshot,
                        &links,
                        earlier.as_ref().map(|view| &*view.site),
                    )),
                    movies: pages::movies(&snapshot, &prefix),
                    status,
                });
                rendered.await.context("rendering failed")?
            }
        };
        published.store(Some(Arc::new(view)));
    }
}
