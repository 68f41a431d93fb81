//! Which releases have yet to reach which webhook.
//!
//! The status stores the outbox, so the commit that appends a release also puts it there: no crash
//! comes between the two. Never sends anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::catalogue::snapshot::Release;

/// The most releases that wait for one webhook. When there are more, the oldest are given up.
pub const MOST: usize = 1000;

/// The films' ids for each webhook, by its name; oldest first. Without webhooks that nothing waits
/// for.
pub type Outbox = BTreeMap<String, Vec<String>>;

/// A webhook's name and a film's id.
type Delivery = (String, String);

/// The names of the webhooks, and what reached them since the last commit. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    names: Arc<[String]>,
    done: Arc<Mutex<BTreeSet<Delivery>>>,
}

/// The outbox that a commit stores, and what the commit makes unnecessary to remember.
#[derive(Debug, Default)]
pub struct Next {
    /// The outbox.
    pub outbox: Outbox,
    /// How many releases were given up.
    pub given_up: usize,
    done: BTreeSet<Delivery>,
}

impl Deliveries {
    /// For webhooks with these names.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names: names.into(),
            done: Arc::default(),
        }
    }

    /// The outbox after `last`, with what the commit releases and without what has been delivered.
    /// A webhook that is new gets what is released from now on; one that is no longer there gets
    /// nothing.
    pub fn next(&self, last: &Outbox, released: &[Release]) -> Next {
        let done = self.lock().clone();
        let mut next = Next {
            done,
            ..Next::default()
        };
        for name in self.names.iter() {
            let waiting = last.get(name).into_iter().flatten();
            let mut ids: Vec<&String> = Vec::new();
            for id in waiting.chain(released.iter().map(|release| &release.id)) {
                let is_done = next.done.contains(&(name.clone(), id.clone()));
                if !is_done && !ids.contains(&id) {
                    ids.push(id);
                }
            }
            let surplus = ids.len().saturating_sub(MOST);
            next.given_up += surplus;
            let kept: Vec<_> = ids.into_iter().skip(surplus).cloned().collect();
            if !kept.is_empty() {
                next.outbox.insert(name.clone(), kept);
            }
        }
        next
    }

    /// The names of the webhooks.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Forgets what a stored outbox no longer has.
    pub fn forget(&self, next: &Next) {
        self.lock().retain(|delivery| !next.done.contains(delivery));
    }

    /// Notes that a release has reached a webhook.
    pub fn note(&self, name: &str, id: &str) {
        self.lock().insert((name.to_owned(), id.to_owned()));
    }

    /// Whether a release has reached a webhook since the last commit.
    pub fn is_done(&self, name: &str, id: &str) -> bool {
        self.lock().contains(&(name.to_owned(), id.to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Delivery>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to an outbox what another one has.
pub fn join(outbox: &mut Outbox, other: &Outbox) {
    for (name, ids) in other {
        let known = outbox.entry(name.clone()).or_default();
        for id in ids {
            if !known.contains(id) {
                known.push(id.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn released(id: &str) -> Release {
        Release {
            sequence: 1,
            id: id.to_owned(),
            title: id.to_owned(),
            first_seen: DateTime::UNIX_EPOCH,
        }
    }

    fn outbox(waiting: &[(&str, &[&str])]) -> Outbox {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let waiting = waiting.iter();
        waiting
            .map(|(name, ids)| ((*name).to_owned(), owned(ids)))
            .collect()
    }

    fn deliveries(names: &[&str]) -> Deliveries {
        Deliveries::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_release_waits_until_each_webhook_has_it() {
        let deliveries = deliveries(&["a", "b"]);
        let first = deliveries.next(&Outbox::new(), &[released("1")]);
        assert_eq!(first.outbox, outbox(&[("a", &["1"]), ("b", &["1"])]));
        deliveries.note("a", "1");
        assert!(deliveries.is_done("a", "1") && !deliveries.is_done("b", "1"));
        let second = deliveries.next(&first.outbox, &[released("2")]);
        assert_eq!(second.outbox, outbox(&[("a", &["2"]), ("b", &["1", "2"])]));
        // The commit failed, or it is not known whether it did: all stays as it is.
        let again = deliveries.next(&first.outbox, &[]);
        assert_eq!(again.outbox, outbox(&[("b", &["1"])]));
        // What arrives during a commit is forgotten after the next one.
        deliveries.note("b", "1");
        deliveries.forget(&second);
        assert!(!deliveries.is_done("a", "1") && deliveries.is_done("b", "1"));
        let third = deliveries.next(&second.outbox, &[]);
        assert_eq!(third.outbox, outbox(&[("a", &["2"]), ("b", &["2"])]));
    }

    #[test]
    fn a_new_webhook_starts_now_and_one_that_is_gone_gets_nothing() {
        let deliveries = deliveries(&["new"]);
        let next = deliveries.next(&outbox(&[("gone", &["1"])]), &[released("2")]);
        assert_eq!(next.outbox, outbox(&[("new", &["2"])]));
        assert_eq!(deliveries.next(&Outbox::new(), &[]).outbox, Outbox::new());
    }

    #[test]
    fn a_release_waits_once_however_often_it_is_announced() {
        let mut both = outbox(&[("a", &["1", "2"])]);
        join(&mut both, &outbox(&[("a", &["2", "3"]), ("b", &["1"])]));
        assert_eq!(both, outbox(&[("a", &["1", "2", "3"]), ("b", &["1"])]));
        let next = deliveries(&["a"]).next(&both, &[released("3"), released("3")]);
        assert_eq!(next.outbox, outbox(&[("a", &["1", "2", "3"])]));
    }

    #[test]
    fn the_oldest_are_given_up_when_too_many_wait() {
        let many: Vec<_> = (0..MOST + 2).map(|id| released(&id.to_string())).collect();
        let next = deliveries(&["a"]).next(&Outbox::new(), &many);
        assert_eq!((next.outbox["a"].len(), next.given_up), (MOST, 2));
        assert_eq!(next.outbox["a"][0], "2");
    }
}
