//! `ghibli-poller verify`: asks the upstream for everything and compares it with the cache. Changes
//! nothing, and runs beside a poller.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;
use shared::catalogue::PerCollection;
use shared::service::console;

use super::progress::Progress;
use super::{upstream, writer};
use crate::config::PollerConfig;
use crate::cycle::preview::Preview;
use crate::cycle::step::Trust;
use crate::difference::{self, Difference};

/// The comparison of one collection.
#[derive(Debug, Serialize)]
struct Compared {
    /// Whether the upstream answered, and has what the cache has.
    is_same: bool,
    /// How many records the cache has.
    records: usize,
    /// How many of them the upstream had withdrawn before.
    withdrawn: usize,
    /// Why the answer cannot be used, or would be rejected.
    reason: Option<String>,
    /// What the upstream has otherwise, compared with the cache.
    difference: Difference,
}

/// Prints the differences. Succeeds when there are none.
///
/// # Errors
/// When the cache cannot be read, or is empty.
pub async fn run(config: PollerConfig, json: bool) -> Result<ExitCode> {
    let progress = Progress::start(format_args!("asking {}", config.ghibli_api));
    let mut writer = writer(&config)?;
    let stored = writer.load().await.context("cannot read the cache")?;
    let snapshot = stored.snapshot.context("the cache is empty")?;
    let preview = Preview::ask(&upstream(&config)?, Some(snapshot)).await;
    drop(progress);
    let compared = compare(&preview);
    let is_same = compared.iter().all(|(_, one)| one.is_same);
    let text = if json {
        serde_json::to_string_pretty(&compared)?
    } else {
        in_words(&compared, is_same)
    };
    let code = if is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok(console::finish(text, code))
}

fn compare(preview: &Preview) -> PerCollection<Compared> {
    let synced = preview.step(Trust::Suspicious);
    // What a suspicious answer would take away is worth knowing.
    let accepted = preview.step(Trust::Accepting).snapshot;
    let mut differences = difference::between(&preview.before, &accepted);
    PerCollection::from_fn(|collection| {
        let held = &preview.before.collections[collection];
        let reason = synced.verdicts[collection].reason().map(str::to_owned);
        let difference = std::mem::take(&mut differences[collection]);
        Compared {
            is_same: reason.is_none() && difference.is_none(),
            records: held.records.len(),
            withdrawn: held.withdrawn.len(),
            reason,
            difference,
        }
    })
}

fn in_words(compared: &PerCollection<Compared>, is_same: bool) -> String {
    let mut text = String::new();
    for (collection, one) in compared.iter() {
        let records = one.records;
        let _ = write!(text, "{collection:<10} {records:>5} records   ");
        let mut words = Vec::new();
        words.extend(one.reason.clone());
        if !one.difference.is_none() {
            words.push(one.difference.to_string());
        }
        if words.is_empty() {
            words.push("the same".to_owned());
        }
        if one.withdrawn > 0 {
            words.push(format!("{} withdrawn earlier, and kept", one.withdrawn));
        }
        let _ = writeln!(text, "{}", words.join("; "));
    }
    text.push_str(if is_same {
        "the cache has what the upstream has"
    } else {
        "the cache differs from the upstream; nothing was changed"
    });
    text
}
