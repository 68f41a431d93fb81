//! The operator's orders to a poller: `ghibli-poller accept` and `ghibli-poller prune`.
//!
//! The running poller has the lease, so the command sends the order to it, through its admin
//! listener. If no poller runs, the command does the work itself. Owns the words of the orders.

use std::fmt::Write as _;

use shared::catalogue::PerCollection;
use shared::service::admin::{self, Order};

/// Something that only a person may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Accept the upstream's answers, suspicious or not (sync rule 7).
    Accept,
    /// Remove withdrawn records (sync rule 6).
    Prune,
}

impl AdminCommand {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accept, Self::Prune];

    /// The path under which a running poller accepts it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Accept => "/accept",
            Self::Prune => "/prune",
        }
    }

    /// Returns the command that an order stands for, if there is one.
    pub fn of(order: &Order) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|command| command.path() == order.path)
    }
}

/// Sends the command to the poller at `address`. Returns what it did.
///
/// # Errors
/// The poller's refusal, or the reason why it could not be reached.
pub fn ask(address: std::net::SocketAddr, command: AdminCommand) -> anyhow::Result<String> {
    admin::order(address, command.path())
}

/// The pruned records, as text for people.
pub fn pruned(ids: &PerCollection<Vec<String>>) -> String {
    let mut report = String::new();
    for (collection, ids) in ids.iter() {
        for id in ids {
            let _ = writeln!(report, "pruned from {collection}: {id}");
        }
    }
    let count: usize = ids.iter().map(|(_, ids)| ids.len()).sum();
    let _ = write!(report, "{count} withdrawn records removed");
    report
}
