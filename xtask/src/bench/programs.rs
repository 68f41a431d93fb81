//! The optimised programs: those in `GHIBLI_BIN_DIR`, or freshly built ones.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use testkit::process::cargo;

use crate::install::run;
use crate::say;

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
        const BUILD: [&str; 4] = ["build", "--release", "--locked", "--quiet"];

        say("building optimised programs; the first time this takes some minutes");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        let built = crate::top().join(target).join("release");
        // Alone, as one build would give the compared programs the features that this one needs.
        run(cargo().args(BUILD).args(["--package", "benchkit"]))?;
        let ours = if let Some(directory) = std::env::var_os("GHIBLI_BIN_DIR") {
            PathBuf::from(directory)
        } else {
            let packages = ["--package", "poller", "--package", "server"];
            run(cargo().args(BUILD).args(packages))?;
            built.clone()
        };
        Ok(Self {
            poller: file(&ours, "ghibli-poller")?,
            server: file(&ours, "ghibli-server")?,
            floor: file(&built, "bench-floor")?,
            rate: file(&built, "bench-rate")?,
        })
    }
}

fn file(directory: &Path, name: &str) -> Result<PathBuf> {
    let file = directory.join(name);
    ensure!(file.is_file(), "there is no {}", file.display());
    Ok(file)
}
