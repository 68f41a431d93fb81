//! What can go wrong, for which process, and its name.

use std::fmt;

use crate::upstream::Fault;

/// How many pollers there are; one of them syncs.
pub const POLLERS: usize = 2;

/// How many readers there are.
pub const READERS: usize = 3;

/// A process that can get into trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A poller, counted from zero.
    Poller(usize),
    /// A reader, counted from zero.
    Reader(usize),
}

/// Something that goes wrong for a while, or something that happens upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// SIGKILL, and a new start later.
    Kill(Node),
    /// SIGSTOP, and SIGCONT later.
    Freeze(Node),
    /// The process cannot connect to Redis.
    Cut(Node),
    /// The process connects to Redis and hears nothing.
    Stall(Node),
    /// A running poller's clock is wrong by this many seconds.
    ClockJump(usize, i64),
    /// Redis is killed, and starts later with its data on disk.
    RedisKill,
    /// Redis is frozen.
    RedisFreeze,
    /// FLUSHALL.
    Flush,
    /// Redis is a replica, which accepts no writes.
    ReadOnly,
    /// Redis has no memory left for writes.
    OutOfMemory,
    /// Redis demands a password that no client has.
    NoAuth,
    /// Both pollers are killed and Redis is flushed, so no process remembers anything.
    LoseEverything,
    /// Nothing listens on the upstream's port.
    UpstreamDown,
    /// The upstream has this fault, everywhere or on one collection.
    Upstream(Option<&'static str>, Fault),
    /// The upstream releases a film.
    Release,
    /// The upstream changes a film's score.
    Change,
    /// The upstream withdraws a film, and lists it again later.
    Withdraw,
}

impl Trouble {
    /// The kind of trouble, for the figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(Node::Poller(_)) => "poller killed",
            Self::Kill(Node::Reader(_)) => "reader killed",
            Self::Freeze(Node::Poller(_)) => "poller frozen",
            Self::Freeze(Node::Reader(_)) => "reader frozen",
            Self::Cut(_) => "network cut",
            Self::Stall(_) => "network stalled",
            Self::ClockJump(..) => "clock jumped",
            Self::RedisKill => "Redis killed",
            Self::RedisFreeze => "Redis frozen",
            Self::Flush => "Redis flushed",
            Self::ReadOnly => "Redis read-only",
            Self::OutOfMemory => "Redis out of memory",
            Self::NoAuth => "Redis wants a password",
            Self::LoseEverything => "everything lost",
            Self::UpstreamDown => "upstream down",
            Self::Upstream(_, fault) => upstream_kind(fault),
            Self::Release => "film released",
            Self::Change => "film changed",
            Self::Withdraw => "film withdrawn",
        }
    }
}

const fn upstream_kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Refuse => "upstream refuses",
        Fault::Stall => "upstream stalls",
        Fault::Drip => "upstream drips",
        Fault::ResetMidBody => "upstream resets",
        Fault::Truncate => "upstream truncates",
        Fault::Html => "upstream sends HTML",
        Fault::EmptyObject => "upstream sends {}",
        Fault::EmptyList => "upstream sends []",
        Fault::NotJson => "upstream sends half",
        Fault::Status(_) => "upstream errs",
        Fault::RateLimited { .. } => "upstream limits",
        Fault::RedirectTo(_) => "upstream redirects",
        Fault::Answer { .. } | Fault::Sends(_) | Fault::Exactly { .. } => "upstream answers oddly",
        Fault::GzipBomb { .. } | Fault::BrotliBomb { .. } => "upstream sends a bomb",
        Fault::DuplicateIds => "upstream duplicates",
        Fault::HalfEmoji => "upstream breaks a record",
        Fault::DeeplyNested { .. } => "upstream nests",
    }
}

/// For people.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(node) => write!(f, "{node} killed"),
            Self::Freeze(node) => write!(f, "{node} frozen"),
            Self::Cut(node) => write!(f, "{node} cut off from Redis"),
            Self::Stall(node) => write!(f, "{node} hears nothing from Redis"),
            Self::ClockJump(poller, seconds) => {
                write!(
                    f,
                    "{} has its clock off by {seconds} s",
                    Node::Poller(*poller)
                )
            }
            Self::Upstream(on, fault) => {
                write!(
                    f,
                    "{}: {fault:?} on {}",
                    self.kind(),
                    on.unwrap_or("everything")
                )
            }
            other => f.write_str(other.kind()),
        }
    }
}

/// Counts from one, as people do.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poller(index) => write!(f, "poller {}", index + 1),
            Self::Reader(index) => write!(f, "reader {}", index + 1),
        }
    }
}
