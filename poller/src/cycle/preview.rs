//! What a sync would do, without doing it: asks the upstream and reads the cache, and writes nothing.
//! Needs no lease, so it runs beside a poller.

use chrono::{DateTime, SubsecRound, Utc};
use shared::catalogue::PerCollection;
use shared::catalogue::snapshot::Snapshot;

use super::fetch::fetch;
use super::step::{self, Step, Trust};
use crate::upstream::{Fetched, UpstreamClient};

/// A sync that is not committed.
#[derive(Debug)]
pub struct Preview {
    /// The snapshot before it.
    pub before: Snapshot,
    fetched: PerCollection<Fetched>,
    upstream: String,
    at: DateTime<Utc>,
}

impl Preview {
    /// Asks the upstream for everything, without validators. `stored` is what the cache holds; an
    /// empty cache gets the built-in catalogue first.
    pub async fn ask(upstream: &UpstreamClient, stored: Option<Snapshot>) -> Self {
        let at = Utc::now().trunc_subsecs(3);
        let fetched = Box::pin(fetch(upstream, &PerCollection::default())).await;
        let upstream = upstream.base().to_string();
        Self {
            before: stored.unwrap_or_else(|| step::built_in(&upstream, at)),
            fetched,
            upstream,
            at,
        }
    }

    /// What it would do.
    pub fn step(&self, trust: Trust) -> Step {
        step::advance(&self.before, &self.upstream, &self.fetched, trust, self.at)
    }
}
