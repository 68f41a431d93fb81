//! What is served now. Rendering happens here, off the request path; until it is done the old
//! generation serves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use chrono::Utc;
use shared::snapshot::Snapshot;
use shared::status::Status;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::follow::Known;
use crate::pages::MoviesPage;
use crate::render::{Body, Links, Site};

/// Everything that a request may need.
#[derive(Debug)]
pub struct View {
    /// The JSON bodies.
    pub site: Arc<Site>,
    /// `/movies`, as of this second.
    pub movies: Body,
    /// What the last syncs did.
    pub status: Option<Status>,
}

/// Where requests find the [`View`]; empty until something was loaded.
pub type Published = Arc<ArcSwapOption<View>>;

/// Publishes whatever becomes known: a new generation as soon as it is rendered, and the page's
/// age line every second. Paths in it begin with `prefix`.
///
/// # Errors
/// When rendering panics, or nobody follows the cache any more; the process should end then.
pub async fn run(
    mut known: watch::Receiver<Known>,
    links: Links,
    prefix: String,
    published: Published,
) -> anyhow::Result<()> {
    let mut current: Option<(Arc<Site>, Arc<MoviesPage>, Option<Status>)> = None;
    loop {
        tokio::select! {
            changed = known.changed() => {
                changed.context("the cache is not followed any more")?;
                let Known { snapshot, status, .. } = known.borrow_and_update().clone();
                let Some(snapshot) = snapshot else { continue };
                let held = current.take().map(|(site, ..)| site);
                let (links, prefix) = (links.clone(), prefix.clone());
                let rendered = spawn_blocking(move || {
                    let page = MoviesPage::render(&snapshot, status.as_ref(), &prefix);
                    (render_site(held, &snapshot, &links), Arc::new(page), status)
                });
                current = Some(rendered.await.context("rendering failed")?);
            }
            () = until_next_second(), if current.is_some() => {}
        }
        if let Some((site, page, status)) = current.clone() {
            let view = spawn_blocking(move || View {
                site,
                movies: page.at(Utc::now()),
                status,
            });
            let view = view.await.context("rendering failed")?;
            published.store(Some(Arc::new(view)));
        }
    }
}

/// A change of status alone needs no new bodies.
fn render_site(held: Option<Arc<Site>>, snapshot: &Snapshot, links: &Links) -> Arc<Site> {
    match held {
        Some(site) if site.generation == snapshot.generation => site,
        held => Arc::new(Site::render(snapshot, links, held.as_deref())),
    }
}

/// Aligned to the clock's seconds, so that all replicas tell the same age at the same time.
async fn until_next_second() {
    let into_second = Utc::now().timestamp_subsec_millis().min(999);
    tokio::time::sleep(Duration::from_millis(u64::from(1000 - into_second))).await;
}
