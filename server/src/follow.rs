//! Keeps the newest snapshot and status in memory. A notice from the poller, or a regular check,
//! starts a load.
//!
//! If the cache fails, the reader keeps what it loaded last. Generations never go back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::cache::CacheError;
use shared::cache::read::Reader;
use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::status::Status;
use tokio::sync::watch;

/// What this reader knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The generation of the newest snapshot that the reader has loaded.
    pub generation: Option<u64>,
    /// That snapshot, until it is taken to be rendered. Nothing else needs it, and it is large.
    unrendered: Arc<Mutex<Option<Arc<Snapshot>>>>,
    /// How many snapshots the reader has loaded.
    pub loads: u64,
    /// The newest status.
    pub status: Option<Status>,
    /// Why the last attempt to read the cache failed.
    pub trouble: Option<String>,
}

impl Known {
    /// Replaces the newest snapshot.
    pub fn put(&mut self, snapshot: Snapshot) {
        self.generation = Some(snapshot.generation);
        self.loads += 1;
        *self.unrendered() = Some(Arc::new(snapshot));
    }

    /// Takes the newest snapshot, if it was not taken before.
    pub fn take_snapshot(&self) -> Option<Arc<Snapshot>> {
        self.unrendered().take()
    }

    fn unrendered(&self) -> MutexGuard<'_, Option<Arc<Snapshot>>> {
        self.unrendered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows a cache until every receiver of `known` is dropped.
pub async fn run(mut reader: Reader, known: watch::Sender<Known>) {
    while !known.is_closed() {
        let held = known.borrow().generation;
        match look(&mut reader, held).await {
            Ok((snapshot, status)) => learn(&known, snapshot, status),
            Err(error) => complain(&known, &error),
        }
        reader.look_due().await;
    }
}

/// Reads the status. Reads the snapshot too, unless the status shows that the held one is current.
async fn look(
    reader: &mut Reader,
    held: Option<u64>,
) -> Result<(Option<Snapshot>, Option<Status>), CacheError> {
    let status = reader.status().await?;
    let is_current = status
        .as_ref()
        .is_some_and(|status| held >= Some(status.generation));
    let snapshot = if is_current {
        None
    } else {
        reader.snapshot().await?
    };
    Ok((snapshot, status))
}

fn learn(known: &watch::Sender<Known>, snapshot: Option<Snapshot>, status: Option<Status>) {
    known.send_if_modified(|known| {
        let mut modified = false;
        if known.trouble.take().is_some() {
            tracing::info!("cache reachable again");
            modified = true;
        }
        if let Some(snapshot) = snapshot.filter(|new| known.generation < Some(new.generation)) {
            let films = snapshot.collections.films.records.len();
            tracing::info!(generation = snapshot.generation, films, "loaded a snapshot");
            known.put(snapshot);
            modified = true;
        }
        if status.is_some() && status != known.status {
            known.status = status;
            modified = true;
        }
        modified
    });
}

/// Logs that the cache is unreadable: as a warning when the trouble begins, and then only for people
/// who look closely.
fn complain(known: &watch::Sender<Known>, error: &CacheError) {
    known.send_if_modified(|known| {
        let reason = error.to_string();
        let is_news = known.trouble.is_none();
        if is_news {
            let generation = known.generation;
            tracing::warn!(
                reason,
                generation,
                "cache unreadable, serving what is in memory"
            );
        } else {
            tracing::debug!(reason, "cache still unreadable");
        }
        known.trouble = Some(reason);
        is_news
    });
}
