//! The optimised programs: those in `GHIBLI_BIN_DIR`, or freshly built ones.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use testkit::process::cargo;

use crate::install::run;
use crate::say;

const BUILD: [&str; 4] = ["build", "--release", "--locked", "--quiet"];

/// Each is built alone, as `Dockerfile` does: built together, each has the features of both.
const OURS: [&str; 2] = ["poller", "server"];

/// Where each program is.
pub(super) struct Programs {
    pub(super) poller: PathBuf,
    pub(super) server: PathBuf,
    pub(super) floor: PathBuf,
    pub(super) rate: PathBuf,
}

impl Programs {
    /// Builds what is not there.
    pub(super) fn find() -> Result<Self> {
        say("building optimised programs; the first time this takes some minutes");
        let built = target().join("release");
        // Alone, as one build would give the compared programs the features that this one needs.
        run(cargo().args(BUILD).args(["--package", "benchkit"]))?;
        let ours = if let Some(directory) = std::env::var_os("GHIBLI_BIN_DIR") {
            PathBuf::from(directory)
        } else {
            for package in OURS {
                run(cargo().args(BUILD).args(["--package", package]))?;
            }
            built.clone()
        };
        Ok(Self {
            poller: file(&ours, "ghibli-poller")?,
            server: file(&ours, "ghibli-server")?,
            floor: file(&built, "bench-floor")?,
            rate: file(&built, "bench-rate")?,
        })
    }

    /// Builds the programs from a copy of the sources in which a catalogue may be of any size, and
    /// puts them into `folder`.
    pub(super) fn with_raised_limits(&self, folder: &Path) -> Result<Self> {
        say("building programs with raised limits");
        let sources = target().join("bench-sources");
        copy_with_raised_limits(&sources)?;
        // A folder of their own. In the folder of the programs with the real limits, Cargo takes the
        // libraries of one for those of the other.
        let target = target().join("bench-raised");
        let built = target.join("release");
        for package in OURS {
            let mut compile = cargo();
            compile.args(BUILD).args(["--package", package]);
            run(compile
                .current_dir(&sources)
                .env("CARGO_TARGET_DIR", &target))?;
        }
        let moved = |name: &str| -> Result<PathBuf> {
            let to = folder.join(name);
            std::fs::copy(built.join(name), &to)?;
            Ok(to)
        };
        Ok(Self {
            poller: moved("ghibli-poller")?,
            server: moved("ghibli-server")?,
            floor: self.floor.clone(),
            rate: self.rate.clone(),
        })
    }
}

/// Limits that 10,000 connections or a catalogue of a thousand times today's size exceed, and what
/// stands in their place while these are measured.
const LIMITS: [(&str, &str, &str); 4] = [
    (
        "shared/src/service/http/mod.rs",
        "connections: 4096,",
        "connections: 16_384,",
    ),
    (
        "shared/src/catalogue/snapshot.rs",
        "MAX_BYTES: usize = 64 << 20;",
        "MAX_BYTES: usize = 4 << 30;",
    ),
    (
        "poller/src/upstream/limits.rs",
        "MAX_BYTES: usize = 1 << 20;",
        "MAX_BYTES: usize = 1 << 30;",
    ),
    (
        "poller/src/upstream/limits.rs",
        "MAX_VALUES: usize = 20_000;",
        "MAX_VALUES: usize = 1_000_000_000;",
    ),
];

/// What Cargo needs to see of the workspace besides `shared`, `poller` and `server`.
const MANIFESTS: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "testkit/Cargo.toml",
    "testkit/src/lib.rs",
    "benchkit/Cargo.toml",
    "benchkit/src/lib.rs",
    "xtask/Cargo.toml",
    "xtask/src/main.rs",
];

/// Copies the sources and raises the limits in the copy. Leaves files alone that have not changed,
/// so that Cargo need not compile them again.
fn copy_with_raised_limits(to: &Path) -> Result<()> {
    let top = crate::top();
    let mut paths: Vec<PathBuf> = MANIFESTS.iter().map(PathBuf::from).collect();
    let mut folders: Vec<PathBuf> = ["shared", "poller", "server"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let is_folder = entry.file_type()?.is_dir();
            if is_folder { &mut folders } else { &mut paths }.push(path);
        }
    }
    for path in paths {
        let mut bytes = std::fs::read(top.join(&path))?;
        for (file, limit, raised) in LIMITS {
            if path == Path::new(file) {
                let text = String::from_utf8(bytes)?;
                ensure!(text.contains(limit), "{file} has no `{limit}` to raise");
                bytes = text.replace(limit, raised).into_bytes();
            }
        }
        let copy = to.join(path);
        if std::fs::read(&copy).is_ok_and(|there| there == bytes) {
            continue;
        }
        std::fs::create_dir_all(copy.parent().context("a file in a folder")?)?;
        std::fs::write(copy, bytes)?;
    }
    Ok(())
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    crate::top().join(target)
}

fn file(directory: &Path, name: &str) -> Result<PathBuf> {
    let file = directory.join(name);
    ensure!(file.is_file(), "there is no {}", file.display());
    Ok(file)
}
