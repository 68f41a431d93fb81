//! What a run did, in figures, and how it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::promise::Violation;

/// What the run counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Rounds that ended with every reader serving everything.
    pub rounds: usize,
    /// Rounds in which the cache was lost and no poller in reach remembered everything.
    pub forgetting: usize,
    /// How often a poller took the lease from another that had started anew.
    pub claimed: usize,
    /// Troubles, by kind.
    pub troubles: BTreeMap<&'static str, usize>,
    /// Troubles that the run held back, because no other reader could have answered.
    pub held_back: usize,
    /// Films that the upstream released.
    pub released: usize,
    /// Releases that pollers announced.
    pub announced: usize,
    /// Releases in the log that no poller announced, because it died or lost the cache.
    pub silent: usize,
    /// Syncs that pollers finished, by outcome.
    pub syncs: BTreeMap<String, usize>,
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that were answered through the edge, in addition to those.
    pub edge_answered: usize,
    /// Tries without an answer, after which the client asked another reader.
    pub retried: usize,
    /// Requests that no reader answered.
    pub failed: usize,
    /// The longest time of one request, tries at frozen readers included.
    pub longest_answer: Duration,
    /// The longest time after a round until every reader had everything.
    pub longest_recovery: Duration,
    /// Requests that the upstream got.
    pub upstream_requests: u64,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct ChaosOutcome {
    /// The seed.
    pub seed: u64,
    /// What the run counted.
    pub figures: Figures,
    /// The broken promises; none after a good run.
    pub violations: Vec<Violation>,
    /// The last troubles and the events between them, oldest first.
    pub story: Vec<String>,
    /// The folder with the processes' logs, if the mirror broke a promise.
    pub logs: Option<PathBuf>,
}

impl ChaosOutcome {
    /// Whether the mirror kept every promise.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

/// A table for people.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.troubles.values().sum();
        writeln!(
            f,
            "{} rounds, {total} troubles ({} held back):",
            self.rounds, self.held_back
        )?;
        for (kind, times) in &self.troubles {
            writeln!(f, "  {times:>4}  {kind}")?;
        }
        let syncs: Vec<_> = self
            .syncs
            .iter()
            .map(|(outcome, times)| format!("{times} {outcome}"))
            .collect();
        writeln!(f, "syncs: {}", syncs.join(", "))?;
        writeln!(
            f,
            "films: {} released, {} announced, {} in silence; {} rounds might forget any",
            self.released, self.announced, self.silent, self.forgetting
        )?;
        writeln!(
            f,
            "leases taken from pollers that had begun anew: {}",
            self.claimed
        )?;
        writeln!(f, "upstream: {} requests", self.upstream_requests)?;
        writeln!(
            f,
            "readers: {} requests answered, and {} through the edge; {} tries again, {} failed, \
             longest {:.1} s",
            self.answered,
            self.edge_answered,
            self.retried,
            self.failed,
            self.longest_answer.as_secs_f64()
        )?;
        write!(
            f,
            "recovery: at most {:.1} s",
            self.longest_recovery.as_secs_f64()
        )
    }
}

/// For people: the figures, or the broken promises and the events before them.
impl fmt::Display for ChaosOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.figures)?;
        if self.is_good() {
            return write!(f, "every promise was kept");
        }
        writeln!(f, "\nwhat went before:")?;
        for line in &self.story {
            writeln!(f, "  {line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "\n{violation}")?;
        }
        if let Some(logs) = &self.logs {
            writeln!(f, "\nlogs of all processes: {}", logs.display())?;
        }
        write!(f, "seed: {}", self.seed)
    }
}
