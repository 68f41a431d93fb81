//! Keeps the newest snapshot and status in memory. A notice from the poller, or a regular check,
//! starts a load.
//!
//! If the cache fails, the reader keeps what it loaded last. Generations never go back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use shared::cache::CacheError;
use shared::cache::read::Reader;
use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::status::Status;
use shared::log;
use shared::service::telemetry::{Lasting, clock, events};
use tokio::sync::watch;

/// What this reader knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The generation of the newest snapshot that the reader has loaded.
    pub generation: Option<u64>,
    /// That snapshot, until it is taken to be rendered. Nothing else needs it, and it is large.
    unrendered: Arc<Mutex<Option<Snapshot>>>,
    /// How many snapshots the reader has loaded.
    pub loads: u64,
    /// The newest status.
    pub status: Option<Status>,
    /// Why the last attempt to read the cache failed.
    pub trouble: Option<String>,
    /// Since when it fails, if it does.
    pub trouble_since: Option<DateTime<Utc>>,
    outage: Lasting,
}

impl Known {
    /// Replaces the newest snapshot.
    pub fn put(&mut self, snapshot: Snapshot) {
        self.generation = Some(snapshot.generation);
        self.loads += 1;
        *self.unrendered() = Some(snapshot);
    }

    /// Takes the newest snapshot, if it was not taken before.
    pub fn take_snapshot(&self) -> Option<Snapshot> {
        self.unrendered().take()
    }

    fn unrendered(&self) -> MutexGuard<'_, Option<Snapshot>> {
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
        known.trouble_since = None;
        if known.trouble.take().is_some() {
            let now = Utc::now();
            if let Some((_, since)) = known.outage.note(false, now, now) {
                let duration_s = (now - since).num_seconds();
                log!(
                    events::CACHE_BACK,
                    since = since.to_rfc3339(),
                    duration_s,
                    "the cache can be read again, after {duration_s} s"
                );
            }
            modified = true;
        }
        if let Some(snapshot) = snapshot.filter(|new| known.generation < Some(new.generation)) {
            let generation = snapshot.generation;
            let films = snapshot.collections.films.records.len();
            let people = snapshot.collections.people.records.len();
            log!(
                events::SNAPSHOT_LOADED,
                generation,
                films,
                people,
                "loaded generation {generation}: {films} films, {people} people"
            );
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

/// Logs that the cache is unreadable, when the trouble begins and each hour.
fn complain(known: &watch::Sender<Known>, error: &CacheError) {
    known.send_if_modified(|known| {
        let reason = error.to_string();
        let (is_news, now) = (known.trouble.is_none(), Utc::now());
        if let Some((_, since)) = known.outage.note(true, now, now) {
            let generation = known.generation;
            let serving = generation.map_or("nothing to serve yet".to_owned(), |generation| {
                format!("serving generation {generation} from memory")
            });
            log!(
                events::CACHE_UNREACHABLE,
                reason,
                generation,
                since = since.to_rfc3339(),
                "cannot read the cache since {}, {serving}: {reason}",
                clock(since)
            );
        } else {
            log!(
                events::CACHE_STILL_UNREACHABLE,
                reason,
                "still cannot read the cache: {reason}"
            );
        }
        known.trouble = Some(reason);
        known.trouble_since.get_or_insert_with(Utc::now);
        is_news
    });
}
