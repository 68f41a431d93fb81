//! What a person can tell a poller to do: `ghibli-poller accept` and `ghibli-poller prune`.
//!
//! The lease belongs to the poller that runs, so the command asks that one, through its admin
//! listener; with no poller running it does the work itself. Owns the words that travel between.

use std::fmt::Write as _;

use shared::admin::{self, Order};
use shared::catalogue::PerCollection;

/// Something only a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take the upstream's answers as they are, suspicious or not (sync rule 7).
    Accept,
    /// Remove withdrawn records (sync rule 6).
    Prune,
}

impl Command {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accept, Self::Prune];

    /// The path under which a running poller takes it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Accept => "/accept",
            Self::Prune => "/prune",
        }
    }

    /// The command that a running poller was sent, if it is one.
    pub fn of(order: &Order) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|command| command.path() == order.path)
    }
}

/// Asks the poller at `address`. Returns what it did.
///
/// # Errors
/// What it says instead, or why it could not be asked.
pub fn ask(address: std::net::SocketAddr, command: Command) -> anyhow::Result<String> {
    admin::order(address, command.path())
}

/// What was pruned, for people.
pub fn pruned(ids: &PerCollection<Vec<String>>) -> String {
    let mut told = String::new();
    for (collection, ids) in ids.iter() {
        for id in ids {
            let _ = writeln!(told, "pruned from {collection}: {id}");
        }
    }
    let count: usize = ids.iter().map(|(_, ids)| ids.len()).sum();
    let _ = write!(told, "{count} withdrawn records removed");
    told
}
