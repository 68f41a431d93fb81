//! What the mirror promises, what a run counted, and how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::clock;
use super::schedule::rounds;
use crate::edge;

/// One sentence that must stay true whatever goes wrong.
pub(super) type Promise = &'static str;

pub(super) const KEPT: Promise = "a film that the mirror committed is served for ever after";
pub(super) const GENUINE: Promise =
    "films are what the upstream released, each once, in its order and without gaps";
pub(super) const FORWARD: Promise = "generations never go back, on no reader that stays up";
pub(super) const AGE: Promise = "an answer has all that the upstream had when it was confirmed";
pub(super) const ANNOUNCED: Promise = "each release is announced once, under its number";
pub(super) const RELEASE_LOG: Promise =
    "the release log has every release once, without gaps, and only grows";
pub(super) const DELIVERED: Promise =
    "each release reaches the receiver of webhooks, always with the same id";
pub(super) const ATOMIC: Promise = "a commit replaces snapshot and status together";
pub(super) const LEADER: Promise = "only the poller with the lease commits";
pub(super) const SHARE: Promise = "the upstream never gets more than one poller's requests";
pub(super) const ANSWERED: Promise = "no request fails while any reader lives";
pub(super) const RECOVERS: Promise =
    "when nothing is wrong any more, every reader soon has everything";
pub(super) const STAYS_UP: Promise = "no process ends by itself";
const EXERCISED: Promise = "a run checks something";

/// The fewest syncs that a round must have shown, on a busy machine and among troubles.
const SYNCS: usize = 2;

/// The fewest requests that readers must have answered in a round.
const REQUESTS: usize = 100;

/// What the run counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Rounds that ended with every reader serving everything, and how many of them might forget
    /// something, because the mirror lost the cache.
    pub(super) rounds: usize,
    pub(super) forgetting: usize,
    /// Troubles, by kind.
    pub(super) troubles: BTreeMap<String, usize>,
    /// Films that the upstream released, that entered the release log, that pollers announced.
    pub(super) released: usize,
    pub(super) logged: usize,
    pub(super) announced: usize,
    /// Requests that the receiver of webhooks got.
    pub(super) webhooks: usize,
    /// Syncs that the status showed, and how many of them did not confirm everything.
    pub(super) syncs: [usize; 2],
    /// Requests that readers answered, and others that the edge answered.
    pub(super) answered: usize,
    pub(super) edge_answered: usize,
    /// Tries without an answer, after which the client asked another reader.
    pub(super) retried: usize,
    pub(super) longest_answer: Duration,
    pub(super) longest_recovery: Duration,
    pub(super) upstream_requests: u64,
}

impl Figures {
    /// What a run of this seed has not exercised, although it must. A check that sees no release
    /// also finds nothing wrong with releases.
    pub(super) fn unexercised(&self, seed: u64) -> Option<(Promise, String)> {
        let rounds = rounds(seed).take(self.rounds).flatten();
        let planned: BTreeSet<String> = rounds.map(|planned| planned.trouble.kind()).collect();
        let is_missing = |kind: &&String| {
            !self.troubles.contains_key(*kind) && (*kind != "ClockJump" || clock::can_be_wrong())
        };
        let mut missing: Vec<String> = planned.iter().filter(is_missing).cloned().collect();
        let floors = [
            ("rounds", self.rounds, 1),
            ("released films", self.released, self.rounds),
            ("films in the release log", self.logged, self.released / 2),
            ("announcements", self.announced, self.logged / 2),
            ("webhooks", self.webhooks, self.announced / 2),
            ("syncs", self.syncs[0], SYNCS * self.rounds),
            ("answers", self.answered, REQUESTS * self.rounds),
            (
                "answers through the edge",
                self.edge_answered,
                usize::from(edge::can_stand()) * REQUESTS / 3 * self.rounds,
            ),
        ];
        let low = floors.iter().filter(|(_, seen, floor)| seen < floor);
        missing.extend(low.map(|(what, seen, floor)| format!("{seen} {what} of {floor}")));
        (!missing.is_empty()).then(|| (EXERCISED, missing.join("; ")))
    }
}

/// A table for people.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.troubles.values().sum();
        writeln!(f, "{} rounds, {total} troubles:", self.rounds)?;
        for (kind, times) in &self.troubles {
            writeln!(f, "  {times:>4}  {kind}")?;
        }
        writeln!(
            f,
            "films: {} released, {} logged, {} announced, {} webhooks; {} rounds might forget any\n\
             syncs: {} seen, {} of them incomplete; the upstream got {} requests\n\
             readers: {} requests answered, and {} through the edge; {} tries again\n\
             longest answer {:.1} s, longest recovery {:.1} s",
            self.released,
            self.logged,
            self.announced,
            self.webhooks,
            self.forgetting,
            self.syncs[0],
            self.syncs[1],
            self.upstream_requests,
            self.answered,
            self.edge_answered,
            self.retried,
            self.longest_answer.as_secs_f64(),
            self.longest_recovery.as_secs_f64()
        )
    }
}
