//! The admin commands: accept, prune, rollback, import.
//!
//! The running poller has the lease, so it receives the command through its admin listener. If no
//! poller runs, this process does the work itself. Owns the form of the requests.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use shared::catalogue::snapshot::Snapshot;
use shared::service::{admin, console};

use super::progress::Progress;
use super::{sync, syncer, upstream, writer};
use crate::config::PollerConfig;
use crate::cycle::change::Change;
use crate::cycle::preview::Preview;
use crate::cycle::step::{self, Trust};
use crate::difference;

/// Something that only a person may decide.
#[derive(Debug)]
pub enum AdminCommand {
    /// Accept the upstream's answers, suspicious or not (sync rule 7).
    Accept,
    /// Change the cache without the upstream.
    Change(Change),
}

impl AdminCommand {
    /// Reads an admin command that a running poller received.
    ///
    /// # Errors
    /// What is wrong with it, as text for a person.
    pub fn read(request: &admin::AdminRequest) -> Result<Self, String> {
        match request.path.as_str() {
            "/accept" => Ok(Self::Accept),
            "/prune" => Ok(Self::Change(Change::Prune)),
            "/rollback" => {
                let generation = request.query.strip_prefix("generation=");
                let generation = generation.and_then(|number| number.parse().ok());
                let generation = generation.ok_or("expected /rollback?generation=NUMBER")?;
                Ok(Self::Change(Change::Rollback(generation)))
            }
            "/import" => {
                let snapshot = Snapshot::from_json(&request.document);
                let snapshot = snapshot.map_err(|reason| format!("no snapshot: {reason}"))?;
                Ok(Self::Change(Change::Import(Box::new(snapshot))))
            }
            _ => Err("the admin commands are /accept, /prune, /rollback and /import".to_owned()),
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

/// Accepts the upstream's answers. Without `yes`, shows what that would do, and asks first.
///
/// # Errors
/// The reason why it was not carried out.
pub async fn accept(config: PollerConfig, yes: bool) -> Result<ExitCode> {
    if !yes {
        ensure_person("accept")?;
        let progress = Progress::start(format_args!("asking {}", config.ghibli_api));
        let stored = writer(&config)?.load().await;
        let stored = stored.context("cannot read the cache")?.snapshot;
        let preview = Preview::ask(&upstream(&config)?, stored).await;
        drop(progress);
        let step = preview.step(Trust::Accepting);
        for (collection, verdict) in step.verdicts.iter() {
            if let Some(reason) = verdict.reason() {
                console::note(format_args!("{collection} stay as they are: {reason}"));
            }
        }
        let differences = difference::between(&preview.before, &step.snapshot);
        console::note("accept would do this to the cache:");
        console::note(difference::in_words(&differences));
        if !console::ask("Accept the upstream's answers?") {
            return Ok(nothing_done());
        }
    }
    run(config, AdminCommand::Accept).await
}

/// Removes the withdrawn records. Without `yes`, shows which, and asks first.
///
/// # Errors
/// The reason why it was not carried out.
pub async fn prune(config: PollerConfig, yes: bool) -> Result<ExitCode> {
    if !yes {
        ensure_person("prune")?;
        let stored = writer(&config)?.load().await;
        let stored = stored.context("cannot read the cache")?.snapshot;
        let pruned = stored.and_then(|before| {
            let (after, _) = step::prune(&before, before.committed_at)?;
            Some(difference::between(&before, &after))
        });
        if let Some(differences) = pruned {
            console::note("prune would do this to the cache:");
            console::note(difference::in_words(&differences));
            if !console::ask("Remove the withdrawn records?") {
                return Ok(nothing_done());
            }
        }
    }
    run(config, AdminCommand::Change(Change::Prune)).await
}

fn ensure_person(command: &str) -> Result<()> {
    ensure!(
        console::can_ask(),
        "{command} shows what it would do and asks, and there is no terminal to ask on; `ghibli-poller {command} --yes` does not ask"
    );
    Ok(())
}

fn nothing_done() -> ExitCode {
    console::finish("nothing done", ExitCode::FAILURE)
}

/// Sends an admin command to the running poller, or carries it out here if no poller runs.
///
/// # Errors
/// The reason why it was not carried out.
pub async fn run(config: PollerConfig, command: AdminCommand) -> Result<ExitCode> {
    if admin::is_answering(config.admin_addr) {
        let document = command.document();
        let done = admin::send(config.admin_addr, &command.target(), document.as_bytes())?;
        return Ok(console::finish(done, ExitCode::SUCCESS));
    }
    let change = match command {
        AdminCommand::Accept => return Box::pin(sync::run(config, Trust::Accepting)).await,
        AdminCommand::Change(change) => change,
    };
    let mut syncer = syncer(&config)?;
    let changed = Box::pin(syncer.change(change)).await;
    syncer.release().await;
    Ok(console::finish(changed?, ExitCode::SUCCESS))
}
