//! A cycle's requests to the upstream, and their answers.

use std::time::Duration;

use shared::catalogue::{Collection, PerCollection};
use tokio::time::timeout;

use crate::upstream::{Failure, FetchError, Fetched, UpstreamClient};

/// How long fetching may take, retries included.
pub const FETCH_TIME: Duration = Duration::from_secs(30);

/// Requests the five collections at the same time.
pub(super) async fn fetch(
    upstream: &UpstreamClient,
    validators: &PerCollection<Option<String>>,
) -> PerCollection<Fetched> {
    let (films, people, locations, species, vehicles) = tokio::join!(
        fetch_one(upstream, validators, Collection::Films),
        fetch_one(upstream, validators, Collection::People),
        fetch_one(upstream, validators, Collection::Locations),
        fetch_one(upstream, validators, Collection::Species),
        fetch_one(upstream, validators, Collection::Vehicles),
    );
    PerCollection {
        films,
        people,
        locations,
        species,
        vehicles,
    }
}

async fn fetch_one(
    upstream: &UpstreamClient,
    validators: &PerCollection<Option<String>>,
    collection: Collection,
) -> Fetched {
    let etag = validators[collection].as_deref();
    timeout(FETCH_TIME, upstream.fetch(collection, etag))
        .await
        .unwrap_or_else(|_| Fetched::Failed(Failure::TimedOut.into()))
}

/// What a cycle's requests show about the upstream as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether it answered any of them, even with something unacceptable.
    pub answered: bool,
    /// The longest wait that it asked for.
    pub asked_for: Option<Duration>,
}

impl Heard {
    /// Sums up what the requests yielded.
    pub(super) fn of(fetched: &PerCollection<Fetched>) -> Self {
        let mut errors = fetched.iter().map(|(_, one)| one.error());
        Self {
            asked_for: errors.clone().filter_map(|error| error?.asked_for()).max(),
            answered: errors.any(|error| !error.is_some_and(FetchError::is_silence)),
        }
    }
}
