//! Applications that compute each answer: the upstream's, and the one that this project replaces.
//!
//! Their packages are installed below `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use testkit::free_port;

use super::{Started, port, program_file};
use crate::bench::program::Launch;
use crate::bench::stage::{Stage, loopback};
use crate::install::{install, is_installed, run};

/// The upstream's software with its two own parameters, as the tests compare it.
pub(super) async fn json_server(stage: &Stage, cores: &str) -> Result<Started> {
    let folder = oracle()?;
    let launch = Launch::new("json-server", "node")
        .env("NODE_ENV", "production")
        .arg(folder.join("server.js"))
        .arg(stage.files().join("db.json"));
    let mut program = launch.start(cores, stage.folder())?;
    let port = program.printed(port).await?;
    Ok((program, loopback(port), None))
}

/// The folder in which json-server is installed, with the version that the tests use.
fn oracle() -> Result<PathBuf> {
    let folder = crate::top().join("target").join("bench-json-server");
    let is_complete = || folder.join("node_modules/json-server").exists();
    if !is_complete() {
        install("npm", &["npm"], "npm", || is_installed("npm"))?;
        std::fs::create_dir_all(&folder)?;
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(testkit::oracle::beside(name), folder.join(name))?;
        }
        run(Command::new("npm")
            .args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&folder))?;
    }
    std::fs::copy(
        testkit::oracle::beside("server.js"),
        folder.join("server.js"),
    )?;
    Ok(folder)
}

/// Four workers with two threads each, as the original ran, and without its proxy in front. The
/// cache does not count as a part of it.
pub(super) fn reference(stage: &Stage, cores: &str) -> Result<Started> {
    let packages = crate::top().join("target").join("bench-reference");
    let folder = crate::top().join("benchkit").join("reference");
    let requirements = folder.join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    let stamp = packages.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed != wanted) {
        std::fs::remove_dir_all(&packages)?;
    }
    if !stamp.exists() {
        install("pip", &["python3-pip"], "python3-pip", || {
            is_installed("pip")
        })?;
        run(Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--root-user-action=ignore",
            ])
            .args(["--requirement".as_ref(), requirements.as_os_str()])
            .args(["--target".as_ref(), packages.as_os_str()]))?;
        std::fs::write(stamp, wanted)?;
    }
    let memory = free_port();
    let cache = Launch::new("memcached", program_file("memcached"))
        .args(&["-l", "127.0.0.1", "-u", "root", "-p", &memory.to_string()])
        .start(cores, stage.folder())?;
    let port = free_port();
    let program = Launch::new("reference", "python3")
        .args(&["-m", "gunicorn", "--workers", "4", "--threads", "2"])
        .arg("--chdir")
        .arg(folder)
        .args(&[
            "--keep-alive",
            "60",
            "--bind",
            &format!("127.0.0.1:{port}"),
            "app:app",
        ])
        .env("PYTHONPATH", packages.display().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GHIBLI_API", stage.upstream.url())
        .env("MEMCACHED", format!("127.0.0.1:{memory}"))
        .start(cores, stage.folder())?;
    Ok((program, loopback(port), Some(cache)))
}
