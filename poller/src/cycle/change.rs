//! Changes by an admin command, without the upstream: prune, rollback, import. Each is one commit,
//! under the lease, and the history keeps what it replaces.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, SubsecRound, Utc};
use shared::cache::write::{Commit, Lease};
use shared::catalogue::snapshot::{FORMAT, Held, Release, Snapshot, Source};
use shared::catalogue::status::{self, Confirmation, Status};
use shared::catalogue::{Collection, PerCollection, Record};
use shared::log;
use shared::service::telemetry::events;

use super::restore::without_validators;
use super::{Found, Syncer, step};
use crate::difference;

/// What an admin command changes.
#[derive(Debug)]
pub enum Change {
    /// Remove the records that the upstream has withdrawn (sync rule 6).
    Prune,
    /// Bring back an earlier generation's content (sync rule 17).
    Rollback(u64),
    /// Take the content of an exported snapshot (sync rule 17).
    Import(Box<Snapshot>),
}

/// What an admin command did.
#[derive(Debug)]
pub enum Changed {
    /// The ids of the removed records.
    Pruned(PerCollection<Vec<String>>),
    /// The content was replaced.
    Replaced {
        /// The content's own generation, where it came from.
        from: u64,
        /// Whether it came from a file.
        is_import: bool,
        /// The generation that it has now.
        generation: u64,
        /// What differs from the content before, as text.
        differences: String,
    },
}

impl Syncer {
    /// Carries out a change and commits.
    ///
    /// # Errors
    /// When another poller has the lease, the cache cannot be read or written, or there is nothing
    /// to do it with.
    pub async fn change(&mut self, change: Change) -> Result<Changed> {
        let lease = self.lead().await.context("cannot take the lease")?;
        if let Lease::HeldBy(holder) = lease {
            bail!("{holder} is syncing this cache");
        }
        let at = Utc::now().trunc_subsecs(3);
        let found = self.look(at).await?;
        match change {
            Change::Prune => self.prune(found, at).await,
            Change::Rollback(generation) => {
                ensure!(
                    found.is_stored,
                    "the cache is empty, so there is no way back"
                );
                ensure!(
                    generation != found.generation,
                    "generation {generation} is the current one"
                );
                let past = self.past(generation).await?;
                self.replace(found, past, false, at).await
            }
            Change::Import(snapshot) => self.replace(found, *snapshot, true, at).await,
        }
    }

    async fn prune(&mut self, found: Found, at: DateTime<Utc>) -> Result<Changed> {
        let status = found
            .status
            .filter(|_| found.is_stored)
            .context("nothing has been synced yet, so there is nothing to prune")?;
        let Some((after, pruned)) = step::prune(&found.snapshot, at) else {
            return Ok(Changed::Pruned(PerCollection::default()));
        };
        self.commit_change(found.generation, after, status).await?;
        Ok(Changed::Pruned(pruned))
    }

    /// Finds a generation in the history.
    async fn past(&mut self, generation: u64) -> Result<Snapshot> {
        let history = self.cache.writer.history().await;
        let history = history.context("cannot read the history")?;
        let mut readable = history.iter().filter_map(|past| past.read().ok());
        let past = readable.find(|past| past.generation == generation);
        past.with_context(|| {
            format!(
                "generation {generation} is not kept; `ghibli-poller history` lists those that are"
            )
        })
    }

    async fn replace(
        &mut self,
        found: Found,
        content: Snapshot,
        is_import: bool,
        at: DateTime<Utc>,
    ) -> Result<Changed> {
        let from = content.generation;
        let status = status_after(&found.snapshot, &content, found.status, at);
        let after = replaced(&found.snapshot, content, at);
        let differences = difference::between(&found.snapshot, &after);
        let differences = difference::in_words(&differences);
        let generation = after.generation;
        self.commit_change(found.generation, after, status).await?;
        Ok(Changed::Replaced {
            from,
            is_import,
            generation,
            differences,
        })
    }

    async fn commit_change(
        &mut self,
        expected: u64,
        mut after: Snapshot,
        status: Status,
    ) -> Result<()> {
        let holder = self.cache.writer.holder();
        after.lineage.sign(holder, after.generation);
        let status = Status {
            generation: after.generation,
            ..status
        };
        let commit = Commit {
            expected,
            snapshot: Some(&after),
            status: &status,
        };
        self.cache.commit(commit).await?;
        self.cache.memory = Some(after);
        Ok(())
    }
}

/// The current snapshot with the collections of another one, as a new generation.
///
/// The release log stays, and gets what the other one adds: what was announced is not announced a
/// second time. The lineage builds on both, so that no poller restores what this replaces. There
/// are no validators, so that the upstream sends everything again. What differs counts as changed
/// now, or a client that asks by date would keep what this replaces.
fn replaced(current: &Snapshot, content: Snapshot, at: DateTime<Utc>) -> Snapshot {
    let mut releases = current.releases.clone();
    for release in content.releases {
        if releases.iter().all(|known| known.id != release.id) {
            let sequence = releases.len() as u64 + 1;
            releases.push(Release {
                sequence,
                ..release
            });
        }
    }
    let mut lineage = current.lineage.clone();
    lineage.join(&content.lineage);
    let mut collections = content.collections;
    for collection in Collection::ALL {
        let (known, held) = (
            &current.collections[collection],
            &mut collections[collection],
        );
        if is_same(known, held) {
            continue;
        }
        held.as_of = at;
        let known: HashMap<&str, &Record> = known.records.iter().map(|it| (it.id(), it)).collect();
        for record in &held.records {
            if known.get(record.id()) != Some(&record) {
                held.changed.insert(record.id().to_owned(), at);
            }
        }
    }
    without_validators(Snapshot {
        format: FORMAT,
        generation: current.generation + 1,
        lineage,
        committed_at: at,
        upstream: current.upstream.clone(),
        releases,
        collections,
    })
}

/// Whether readers serve the same.
fn is_same(one: &Held, other: &Held) -> bool {
    (one.source, &one.records, &one.withdrawn) == (other.source, &other.records, &other.withdrawn)
}

/// The status after the content was replaced. What was brought back counts as confirmed when the
/// upstream first sent it: when it did so last is not known.
fn status_after(
    before: &Snapshot,
    content: &Snapshot,
    last: Option<Status>,
    at: DateTime<Utc>,
) -> Status {
    let mut status = last.unwrap_or_else(|| Status {
        format: status::FORMAT,
        generation: before.generation,
        started_at: at,
        finished_at: at,
        next_attempt_at: None,
        last_success_at: None,
        failures_in_a_row: 0,
        collections: PerCollection::default(),
        outbox: BTreeMap::new(),
    });
    for (collection, held) in content.collections.iter() {
        if !is_same(&before.collections[collection], held) {
            status.collections[collection] = Confirmation {
                confirmed_at: (held.source == Source::Upstream).then_some(held.as_of),
                failure: None,
                rejected: false,
                set_aside: 0,
            };
        }
    }
    status
}

impl Changed {
    /// Writes the log line.
    pub fn log(&self) {
        match self {
            Self::Pruned(ids) => {
                let records: usize = ids.iter().map(|(_, ids)| ids.len()).sum();
                log!(
                    events::RECORDS_PRUNED,
                    records,
                    "removed {records} withdrawn records, by an admin command"
                );
            }
            Self::Replaced {
                from,
                is_import: false,
                generation,
                ..
            } => log!(
                events::GENERATION_RESTORED,
                generation,
                from,
                "brought generation {from} back as {generation}, by an admin command"
            ),
            Self::Replaced {
                from, generation, ..
            } => log!(
                events::SNAPSHOT_IMPORTED,
                generation,
                from,
                "imported generation {from} of a file as {generation}, by an admin command"
            ),
        }
    }
}

/// For the person who ran the command.
impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pruned(ids) => {
                for (collection, ids) in ids.iter() {
                    for id in ids {
                        writeln!(f, "pruned from {collection}: {id}")?;
                    }
                }
                let count: usize = ids.iter().map(|(_, ids)| ids.len()).sum();
                write!(f, "{count} withdrawn records removed")
            }
            Self::Replaced {
                from,
                is_import,
                generation,
                differences,
            } => {
                let what = if *is_import {
                    "imported snapshot"
                } else {
                    "brought back"
                };
                write!(
                    f,
                    "{differences}\n{what}: generation {from} is now generation {generation}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
