//! The records that cannot be used (sync rule 3): counted in every status, reported once.

use std::collections::HashSet;

use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::status::Status;
use shared::catalogue::{PerCollection, SetAside};

/// The unusable records of each collection's last answer that this poller read; all are reported.
#[derive(Debug, Default)]
pub(super) struct Reported(PerCollection<Option<Vec<SetAside>>>);

impl Reported {
    /// The validators to send. None for a collection with unusable records that this poller has
    /// not reported since its start: so it receives them again, and may be able to use them now.
    pub(super) fn validators(
        &self,
        before: &Snapshot,
        last: Option<&Status>,
    ) -> PerCollection<Option<String>> {
        PerCollection::from_fn(|collection| {
            let may_be_set_aside = |status: &Status| status.collections[collection].set_aside > 0;
            if self.0[collection].is_none() && last.is_none_or(may_be_set_aside) {
                return None;
            }
            before.collections[collection].etag.clone()
        })
    }

    /// Counts the unusable records in each collection's last answer: this cycle's, or an earlier.
    pub(super) fn count(
        &self,
        now: &PerCollection<Option<Vec<SetAside>>>,
        last: Option<&Status>,
    ) -> PerCollection<usize> {
        PerCollection::from_fn(|collection| match (&now[collection], last) {
            (Some(now), _) => now.len(),
            (None, Some(last)) => last.collections[collection].set_aside,
            (None, None) => self.0[collection].as_ref().map_or(0, Vec::len),
        })
    }

    /// Remembers the unusable records. Returns those that are new, or unusable for a new reason.
    pub(super) fn note(
        &mut self,
        now: &PerCollection<Option<Vec<SetAside>>>,
    ) -> PerCollection<Vec<SetAside>> {
        PerCollection::from_fn(|collection| {
            let Some(now) = &now[collection] else {
                return Vec::new();
            };
            let before = self.0[collection].replace(now.clone()).unwrap_or_default();
            let known: HashSet<_> = before.iter().map(SetAside::key).collect();
            let is_news = |one: &&SetAside| !known.contains(&one.key());
            now.iter().filter(is_news).cloned().collect()
        })
    }
}
