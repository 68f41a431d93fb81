//! What became of each collection in one cycle, and of the cycle as a whole. The status, the report
//! and the log lines all use these two.

use shared::catalogue::{Changes, Collection, PerCollection};

/// What became of one collection in one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The upstream confirmed it by validator.
    #[default]
    NotModified,
    /// The upstream sent it again, unchanged.
    Unchanged,
    /// The first answer ever, or one that the operator accepted. It replaces the known data and
    /// announces nothing.
    Baseline,
    /// The upstream sent it, and it differs.
    Changed(Changes),
    /// Not confirmed, because there was no answer; the text says why. The known data stays.
    Failed(String),
    /// Not confirmed, because the answer was not acceptable; the text says why. The known data
    /// stays.
    Rejected(String),
}

impl Verdict {
    /// The word for log lines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotModified => "not_modified",
            Self::Unchanged => "unchanged",
            Self::Baseline => "baseline",
            Self::Changed(_) => "changed",
            Self::Failed(_) => "failed",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Whether the collection has new content, which makes a new generation.
    pub const fn is_new_content(&self) -> bool {
        matches!(self, Self::Baseline | Self::Changed(_))
    }

    /// What differs, if the upstream sent other content.
    pub const fn changes(&self) -> Option<&Changes> {
        match self {
            Self::Changed(changes) => Some(changes),
            _ => None,
        }
    }

    /// The reason why the collection was not confirmed, if it was not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) | Self::Rejected(reason) => Some(reason),
            Self::NotModified | Self::Unchanged | Self::Baseline | Self::Changed(_) => None,
        }
    }
}

/// What became of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CycleOutcome {
    /// All five collections were confirmed, and the cycle changed or restored content.
    Committed,
    /// All five were confirmed, and nothing changed.
    Unchanged,
    /// Some collections were confirmed; their changes were committed.
    Partial,
    /// No collection was confirmed.
    Failed,
}

impl CycleOutcome {
    /// Sums up the collections of a cycle. `is_restored`: whether the cycle gave the cache content
    /// that it had lost or never had.
    pub fn of(verdicts: &PerCollection<Verdict>, is_restored: bool) -> Self {
        let mut verdicts = verdicts.iter().map(|(_, verdict)| verdict);
        let is_unconfirmed = |verdict: &&Verdict| verdict.reason().is_some();
        match verdicts.clone().filter(is_unconfirmed).count() {
            0 if is_restored || verdicts.any(Verdict::is_new_content) => Self::Committed,
            0 => Self::Unchanged,
            some if some < Collection::ALL.len() => Self::Partial,
            _ => Self::Failed,
        }
    }

    /// The word for log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Unchanged => "unchanged",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    /// Whether all served data was confirmed.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Committed | Self::Unchanged)
    }
}
