//! Lineage: which commits a snapshot builds on. It shows whether a cache still has what a poller
//! remembers.
//!
//! A version vector. Pure. Generations alone are not enough: a cache that was lost and started anew
//! counts from the clock, above the generations that it has lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many pollers a lineage names. Every start of a poller counts as a new one; the pollers with
/// the oldest last commits are left out.
pub const LONGEST: usize = 32;

/// For every poller that committed: the generation of its last known commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(BTreeMap<String, u64>);

impl Lineage {
    /// Whether it has no commit yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a commit by this poller.
    pub fn sign(&mut self, poller: &str, generation: u64) {
        let last = self.0.entry(poller.to_owned()).or_default();
        *last = generation.max(*last);
        while self.0.len() > LONGEST {
            let oldest = self.0.iter().min_by_key(|(_, generation)| **generation);
            let oldest = oldest.map(|(poller, _)| poller.clone());
            self.0.retain(|poller, _| Some(poller) != oldest.as_ref());
        }
    }

    /// Adds every commit of another lineage.
    pub fn join(&mut self, other: &Self) {
        for (poller, generation) in &other.0 {
            self.sign(poller, *generation);
        }
    }

    /// Whether this lineage builds on the other one: on its last commit, which builds on all
    /// commits before.
    pub fn builds_on(&self, other: &Self) -> bool {
        let last = other.0.iter().max_by_key(|(_, generation)| **generation);
        last.is_none_or(|(poller, generation)| self.0.get(poller) >= Some(generation))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lineage(commits: &[(&str, u64)]) -> Lineage {
        let mut lineage = Lineage::default();
        for (poller, generation) in commits {
            lineage.sign(poller, *generation);
        }
        lineage
    }

    #[test]
    fn what_was_begun_anew_does_not_build_on_what_was_lost_however_high_its_generation() {
        let lost = lineage(&[("one", 7), ("two", 8)]);
        let anew = lineage(&[("three", 1_800_000_000)]);
        assert!(!anew.builds_on(&lost) && !lost.builds_on(&anew));
        let mut both = anew.clone();
        both.join(&lost);
        assert!(both.builds_on(&lost) && both.builds_on(&anew));
    }

    #[test]
    fn an_older_copy_does_not_build_on_the_newer_one() {
        let older = lineage(&[("one", 7)]);
        let newer = lineage(&[("one", 9)]);
        assert!(newer.builds_on(&older) && !older.builds_on(&newer));
        assert!(older.builds_on(&Lineage::default()), "nothing is known");
    }

    proptest! {
        #[test]
        fn a_line_of_commits_builds_on_each_before_it_and_stays_short(
            pollers in prop::collection::vec(0..50u32, 1..200),
        ) {
            let mut now = Lineage::default();
            let mut before = Vec::new();
            for (generation, poller) in (1..).zip(pollers) {
                now.sign(&poller.to_string(), generation);
                before.push(now.clone());
                prop_assert!(now.0.len() <= LONGEST);
                // A poller that was absent for longer counts as one that knows more.
                for recent in before.iter().rev().take(LONGEST) {
                    prop_assert!(now.builds_on(recent));
                }
            }
            for pair in before.windows(2) {
                prop_assert!(!pair[0].builds_on(&pair[1]));
            }
        }
    }
}
