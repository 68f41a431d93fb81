//! The records that cannot be used (sync rule 3): counted in every status, reported once.

use std::collections::HashSet;

use shared::catalogue::status::Status;
use shared::catalogue::{PerCollection, SetAside};

use super::{Found, Syncer};
use crate::cycle::step::Step;

impl Syncer {
    /// The validators to send. None for a collection with unusable records that this poller has
    /// not reported since its start: so it receives them again, and may be able to use them now.
    pub(super) fn validators(&self, found: &Found) -> PerCollection<Option<String>> {
        PerCollection::from_fn(|collection| {
            let may_be_set_aside = |status: &Status| status.collections[collection].set_aside > 0;
            let is_reported = self.set_aside[collection].is_some();
            if !is_reported && found.status.as_ref().is_none_or(may_be_set_aside) {
                return None;
            }
            found.snapshot.collections[collection].etag.clone()
        })
    }

    /// Counts the unusable records in each collection's last answer.
    pub(super) fn count_set_aside(
        &self,
        step: &Step,
        last: Option<&Status>,
    ) -> PerCollection<usize> {
        let in_memory = |collection| self.set_aside[collection].as_ref().map_or(0, Vec::len);
        PerCollection::from_fn(|collection| match (&step.set_aside[collection], last) {
            (Some(now), _) => now.len(),
            (None, Some(last)) => last.collections[collection].set_aside,
            (None, None) => in_memory(collection),
        })
    }

    /// Remembers the unusable records. Returns those that are new, or unusable for a new reason.
    pub(super) fn note_set_aside(
        &mut self,
        mut now: PerCollection<Option<Vec<SetAside>>>,
    ) -> PerCollection<Vec<SetAside>> {
        PerCollection::from_fn(|collection| {
            let Some(now) = now[collection].take() else {
                return Vec::new();
            };
            let before = self.set_aside[collection].replace(now.clone());
            let before = before.unwrap_or_default();
            let known: HashSet<_> = before.iter().map(SetAside::key).collect();
            let is_news = |one: &SetAside| !known.contains(&one.key());
            now.into_iter().filter(is_news).collect()
        })
    }
}
