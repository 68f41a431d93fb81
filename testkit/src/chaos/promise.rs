//! What the mirror promises, and how the run reports a broken promise.

use std::fmt;

/// One sentence that must stay true whatever goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// A film that a finished sync has seen stays in all answers from then on.
    Kept,
    /// Every film is served once.
    Once,
    /// Films never change their order.
    Order,
    /// Nothing is served that the upstream never released.
    Genuine,
    /// The generation of a reader that stays up never goes back.
    Forward,
    /// A release is announced once, under a number of its own.
    AnnouncedOnce,
    /// The release log has every release since the baseline, numbered without gaps, and only
    /// grows.
    ReleaseLog,
    /// A request gets an answer while any reader lives that can answer.
    Answered,
    /// The upstream gets one poller's requests, however many pollers there are.
    OnePollersShare,
    /// When all troubles are over, every reader soon serves what the upstream has.
    Recovers,
    /// No process ends by itself.
    StaysUp,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "a film that a finished sync has seen is served for ever after",
            Self::Once => "every film is served once",
            Self::Order => "films never change their order",
            Self::Genuine => "only what the upstream released is served",
            Self::Forward => "generations never go back on a reader that stays up",
            Self::AnnouncedOnce => "each release is announced once",
            Self::ReleaseLog => "the release log has every release, without gaps, and only grows",
            Self::Answered => "no request fails while any reader lives",
            Self::OnePollersShare => "the upstream never gets more than one poller's requests",
            Self::Recovers => "when nothing is wrong any more, every reader soon has everything",
            Self::StaysUp => "no process ends by itself",
        })
    }
}

/// A promise that the mirror broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub promise: Promise,
    /// What the run saw.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {}\n  seen: {}", self.promise, self.seen)
    }
}
