//! `ghibli-poller export` and `import`: the whole snapshot as a file, in the form in which the cache
//! stores it. So `snapshot.json` of a file cache, and the files of its history, can be imported too.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use shared::catalogue::snapshot::Snapshot;
use shared::service::{admin, console};

use super::admin_commands::{self, AdminCommand};
use super::writer;
use crate::config::PollerConfig;
use crate::cycle::change::Change;
use crate::upstream::limits;

/// Writes the snapshot to a file, or to standard output for `-`. Reads the cache alone.
///
/// # Errors
/// When the cache cannot be read or is empty, or the file cannot be written.
pub async fn export(config: PollerConfig, to: &Path) -> Result<ExitCode> {
    let mut writer = writer(&config)?;
    let stored = writer.load().await.context("cannot read the cache")?;
    let snapshot = stored.snapshot.context("the cache is empty")?;
    let json = snapshot.to_json();
    if to.as_os_str() == "-" {
        return Ok(console::finish(json, ExitCode::SUCCESS));
    }
    // An older export stays until this one is complete.
    let mut new = to.as_os_str().to_owned();
    new.push(".new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(json.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, to)
    };
    write().with_context(|| format!("cannot write {}", to.display()))?;
    let (generation, bytes) = (snapshot.generation, json.len());
    let done = format!(
        "generation {generation} written to {}, {bytes} bytes",
        to.display()
    );
    Ok(console::finish(done, ExitCode::SUCCESS))
}

/// Replaces the cache's content by an exported snapshot, as a new generation. Reads it from a file,
/// or from standard input for `-`.
///
/// # Errors
/// When the file is no snapshot that the cache can hold, or the import is not carried out.
pub async fn import(config: PollerConfig, from: &Path) -> Result<ExitCode> {
    let (json, shown) = if from.as_os_str() == "-" {
        (read(io::stdin()), "standard input".to_owned())
    } else {
        let file = File::open(from).map_err(Into::into);
        (file.and_then(read), from.display().to_string())
    };
    let json = json.with_context(|| format!("cannot read {shown}"))?;
    let snapshot = check(&json);
    let snapshot = snapshot.with_context(|| format!("{shown} is no snapshot to import"))?;
    let import = Change::Import(Box::new(snapshot));
    admin_commands::run(config, AdminCommand::Change(import)).await
}

fn read(source: impl Read) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    let most = admin::MAX_DOCUMENT;
    source.take(most as u64 + 1).read_to_end(&mut json)?;
    ensure!(json.len() <= most, "it is larger than {most} bytes");
    Ok(json)
}

/// Reads a snapshot. Refuses one with a collection that the poller would never accept.
fn check(json: &[u8]) -> Result<Snapshot> {
    let snapshot = Snapshot::from_json(json)?;
    for (collection, held) in snapshot.collections.iter() {
        let json = serde_json::to_vec(&held.records)?;
        limits::check(&json).with_context(|| format!("its {collection} are too much"))?;
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_snapshot_is_taken() {
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let mut snapshot = crate::cycle::step::built_in("https://ghibli.example", at);
        let json = snapshot.to_json();
        assert_eq!(check(json.as_bytes()).expect("a snapshot"), snapshot);
        let refusal = |json: &str| format!("{:#}", check(json.as_bytes()).expect_err("a refusal"));
        assert!(refusal(&json[..json.len() / 2]).starts_with("damaged: "));
        assert!(refusal("[]").starts_with("damaged: "));
        assert!(refusal("").starts_with("damaged: "));
        assert!(refusal(r#"{"films": []}"#).contains("missing field `format`"));
        assert!(refusal(r#"{"format": 9}"#).contains("update it"));

        let film = &snapshot.collections.films.records[0];
        let film = serde_json::to_value(film).expect("JSON");
        let many = (0..5000).map(|id| {
            let mut film = film.clone();
            film["id"] = id.into();
            serde_json::from_value(film).expect("a film")
        });
        snapshot.collections.films.records = many.collect();
        let refusal = refusal(&snapshot.to_json());
        assert!(refusal.starts_with("its films are too much: "), "{refusal}");
    }
}
