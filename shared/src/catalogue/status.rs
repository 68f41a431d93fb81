//! The status: the results of the last syncs. Small, rewritten every cycle, beside the snapshot.
//!
//! Never holds content; if it is lost, only the age of the data is lost.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::PerCollection;

/// The version of the format that this build writes, and the newest it can read.
pub const FORMAT: u32 = 1;

/// The results of the last syncs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The format of the document, [`FORMAT`] at the time of writing.
    pub format: u32,
    /// The generation that was current when the poller wrote this.
    pub generation: u64,
    /// When the last sync started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// When the next one is due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When the last sync that confirmed all five collections ended.
    pub last_success_at: Option<DateTime<Utc>>,
    /// How many syncs in a row have left a collection unconfirmed.
    pub failures_in_a_row: u32,
    /// Each collection's own state.
    pub collections: PerCollection<Confirmation>,
    /// The films, by id, whose releases have yet to reach a webhook, by the webhook's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outbox: BTreeMap<String, Vec<String>>,
}

/// How current one collection is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// When the upstream last confirmed this content.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Why the last sync could not confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether there was a whole answer, and the poller rejected it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rejected: bool,
    /// How many records of its last answer cannot be used (sync rule 3). The mirror serves their
    /// last good forms, if there are any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_aside: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Status {
    /// When the whole catalogue was last confirmed: the oldest of the five confirmations, or `None`
    /// while one is missing.
    pub fn confirmed_at(&self) -> Option<DateTime<Utc>> {
        let confirmations = self
            .collections
            .iter()
            .map(|(_, collection)| collection.confirmed_at);
        confirmations.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}
