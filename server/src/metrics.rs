//! The server's own metrics: what its parts have counted, and what it knows of the cache now.
//!
//! Owns the names. Reads the figures only when they are scraped.

use std::fmt;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use shared::service::http::OpenConnections;
use shared::service::metrics::Page;
use tokio::sync::watch;

use crate::events::Events;
use crate::follow::Known;
use crate::http::measure::Requests;
use crate::query::pool::QueryLoad;

/// Where the figures are.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// The requests so far.
    pub requests: Requests,
    /// How many connections are open.
    pub connections: OpenConnections,
    /// The subscribers of `/events`.
    pub events: Events,
    /// What the query pool has to do.
    pub queries: QueryLoad,
    /// What this reader knows.
    pub known: watch::Receiver<Known>,
}

impl ServerMetrics {
    /// Writes the metrics.
    ///
    /// # Errors
    /// None, as long as the page is in memory.
    pub fn describe(&self, page: &mut Page<'_>) -> fmt::Result {
        self.requests.describe(page)?;
        page.gauge(
            "ghibli_connections_active",
            "Open connections of clients",
            self.connections.count(),
        )?;
        page.gauge(
            "ghibli_event_subscribers",
            "Clients that follow `/events`",
            self.events.subscribers(),
        )?;
        let queries = &self.queries;
        page.gauge(
            "ghibli_queries_waiting",
            "Queries that wait for a thread of the pool",
            queries.waiting.load(Ordering::Relaxed),
        )?;
        page.counter(
            "ghibli_queries_refused",
            "Queries that waited too long and were answered 503",
            queries.refused.load(Ordering::Relaxed),
        )?;
        self.describe_known(page)
    }

    fn describe_known(&self, page: &mut Page<'_>) -> fmt::Result {
        let (generation, confirmed_at, loads, is_up) = {
            let known = self.known.borrow();
            let status = known.status.as_ref();
            let confirmed_at = status.and_then(shared::catalogue::status::Status::confirmed_at);
            let generation = known.generation.unwrap_or_default();
            (
                generation,
                confirmed_at,
                known.loads,
                known.trouble.is_none(),
            )
        };
        page.gauge(
            "ghibli_snapshot_generation",
            "The generation that this reader has loaded; 0 before that",
            generation,
        )?;
        page.counter(
            "ghibli_snapshot_loads",
            "Generations that this reader has loaded",
            loads,
        )?;
        page.gauge(
            "ghibli_last_confirmed_timestamp_seconds",
            "When the upstream last confirmed all of what is served, in Unix time; 0 for never",
            seconds(confirmed_at),
        )?;
        page.gauge(
            "ghibli_cache_up",
            "Whether the last attempt to read the cache succeeded",
            u64::from(is_up),
        )
    }
}

/// A moment in Unix time, in seconds; 0 for never.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds are exact for ages"
)]
fn seconds(moment: Option<DateTime<Utc>>) -> f64 {
    moment.map_or(0.0, |moment| moment.timestamp_millis() as f64 / 1000.0)
}
