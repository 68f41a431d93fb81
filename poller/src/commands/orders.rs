//! The operator's orders: accept, prune, rollback, import.
//!
//! The running poller has the lease, so the command sends the order to it, through its admin
//! listener. If no poller runs, the command does the work itself. Owns the form of the orders.

use std::process::ExitCode;

use anyhow::Result;
use shared::catalogue::snapshot::Snapshot;
use shared::service::{admin, console};

use super::{sync, syncer};
use crate::config::PollerConfig;
use crate::cycle::change::Change;
use crate::cycle::step::Trust;

/// Something that only a person may decide.
#[derive(Debug)]
pub enum Order {
    /// Accept the upstream's answers, suspicious or not (sync rule 7).
    Accept,
    /// Change the cache without the upstream.
    Change(Change),
}

impl Order {
    /// Reads an order that a running poller received.
    ///
    /// # Errors
    /// What is wrong with it, as text for a person.
    pub fn read(order: &admin::Order) -> Result<Self, String> {
        match order.path.as_str() {
            "/accept" => Ok(Self::Accept),
            "/prune" => Ok(Self::Change(Change::Prune)),
            "/rollback" => {
                let generation = order.query.strip_prefix("generation=");
                let generation = generation.and_then(|number| number.parse().ok());
                let generation = generation.ok_or("expected /rollback?generation=NUMBER")?;
                Ok(Self::Change(Change::Rollback(generation)))
            }
            "/import" => {
                let snapshot = Snapshot::from_json(&order.document);
                let snapshot = snapshot.map_err(|reason| format!("no snapshot: {reason}"))?;
                Ok(Self::Change(Change::Import(Box::new(snapshot))))
            }
            _ => Err("orders are /accept, /prune, /rollback and /import".to_owned()),
        }
    }

    /// The target under which a running poller accepts it.
    fn target(&self) -> String {
        match self {
            Self::Accept => "/accept".to_owned(),
            Self::Change(Change::Prune) => "/prune".to_owned(),
            Self::Change(Change::Rollback(generation)) => {
                format!("/rollback?generation={generation}")
            }
            Self::Change(Change::Import(_)) => "/import".to_owned(),
        }
    }

    /// The document that goes with it.
    fn document(&self) -> String {
        match self {
            Self::Change(Change::Import(snapshot)) => snapshot.to_json(),
            _ => String::new(),
        }
    }
}

/// Sends an order to the running poller, or carries it out here if no poller runs.
///
/// # Errors
/// The reason why it was not carried out.
pub async fn give(config: PollerConfig, order: Order) -> Result<ExitCode> {
    if admin::is_answering(config.admin_addr) {
        let document = order.document();
        let done = admin::order(config.admin_addr, &order.target(), document.as_bytes())?;
        return Ok(console::finish(done, ExitCode::SUCCESS));
    }
    let change = match order {
        Order::Accept => return Box::pin(sync::run(config, Trust::Accepting)).await,
        Order::Change(change) => change,
    };
    let mut syncer = syncer(&config)?;
    let changed = Box::pin(syncer.change(change)).await;
    syncer.release().await;
    Ok(console::finish(changed?, ExitCode::SUCCESS))
}
