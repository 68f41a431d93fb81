//! A cycle's requests to the upstream, and their answers.

use std::time::Duration;

use shared::catalogue::{Collection, PerCollection};
use tokio::time::timeout;

use crate::cycle::step;
use crate::upstream::{Failure, FetchError, Fetched, Upstream};

/// How long fetching may take, retries included.
pub const FETCH_TIME: Duration = Duration::from_secs(30);

/// Requests the five collections at the same time.
pub(super) async fn fetch(
    upstream: &Upstream,
    validators: &PerCollection<Option<String>>,
) -> (PerCollection<Result<Fetched, FetchError>>, Heard) {
    let (films, people, locations, species, vehicles) = tokio::join!(
        fetch_one(upstream, validators, Collection::Films),
        fetch_one(upstream, validators, Collection::People),
        fetch_one(upstream, validators, Collection::Locations),
        fetch_one(upstream, validators, Collection::Species),
        fetch_one(upstream, validators, Collection::Vehicles),
    );
    let fetched = PerCollection {
        films,
        people,
        locations,
        species,
        vehicles,
    };
    let heard = Heard {
        answered: fetched
            .iter()
            .any(|(_, outcome)| !matches!(outcome, Err(error) if error.is_silence())),
        asked_for: fetched
            .iter()
            .filter_map(|(_, outcome)| outcome.as_ref().err()?.asked_for())
            .max(),
    };
    (fetched, heard)
}

async fn fetch_one(
    upstream: &Upstream,
    validators: &PerCollection<Option<String>>,
    collection: Collection,
) -> Result<Fetched, FetchError> {
    let etag = validators[collection].as_deref();
    timeout(FETCH_TIME, upstream.fetch(collection, etag))
        .await
        .unwrap_or(Err(Failure::TimedOut.into()))
}

/// What a cycle's requests show about the upstream as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether it answered any of them, even with something unacceptable.
    pub answered: bool,
    /// The longest wait that it asked for.
    pub asked_for: Option<Duration>,
}

/// What one collection's answer means for the snapshot.
pub(super) fn outcome(fetched: Result<Fetched, FetchError>) -> step::Outcome {
    match fetched {
        Ok(Fetched::NotModified) => step::Outcome::NotModified,
        Ok(Fetched::Sent { answer, etag, .. }) => step::Outcome::Sent { answer, etag },
        Err(error) if error.is_rejection() => step::Outcome::Rejected(error.to_string()),
        Err(error) => step::Outcome::Failed(error.to_string()),
    }
}

/// Describes an accepted answer, for a report if a later check rejects it.
pub(super) fn seen(fetched: &Result<Fetched, FetchError>) -> Option<String> {
    match fetched {
        Ok(Fetched::Sent { seen, .. }) => Some(seen.to_string()),
        Ok(Fetched::NotModified) | Err(_) => None,
    }
}
