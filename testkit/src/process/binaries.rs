//! Where the project's programs are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use serde_json::Value;

/// A cold build on a small, busy machine takes minutes; a longer build hangs.
const BUILD: Duration = Duration::from_mins(20);

const POLLER: &str = "ghibli-poller";
const SERVER: &str = "ghibli-server";

/// The project's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The daemon.
    pub poller: PathBuf,
    /// The reader.
    pub server: PathBuf,
}

/// The programs in the directory of `GHIBLI_BIN_DIR`, or else freshly built ones.
///
/// Runs Cargo at most once per process, with this crate's own profile: optimised or not.
///
/// # Panics
///
/// When they do not build, with the compiler's messages; when the directory lacks the programs.
pub fn binaries() -> Binaries {
    static BINARIES: OnceLock<Binaries> = OnceLock::new();
    BINARIES
        .get_or_init(|| match std::env::var_os("GHIBLI_BIN_DIR") {
            Some(directory) => found_in(Path::new(&directory)),
            None => built(),
        })
        .clone()
}

/// The Cargo that runs this test, in the workspace, as a person would start it; and `--locked`, so
/// that no command updates the lock file silently.
///
/// Removes the variables that `cargo run` and `cargo test` set for their programs: some build
/// scripts would see a change, and build everything again.
pub fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .arg("--locked")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (name, _) in std::env::vars_os() {
        let of_this_program = |prefix| name.to_str().is_some_and(|name| name.starts_with(prefix));
        if of_this_program("CARGO_PKG_") || of_this_program("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The command that builds both programs, optimised or not.
///
/// A quick build names xtask too: then Cargo chooses the features that the tests have as well (see
/// `xtask/Cargo.toml`), and need not compile every crate again. An optimised build, for people who
/// use the programs, has only what the programs ask for.
pub fn build(is_optimised: bool) -> Command {
    let mut command = cargo();
    command.args([
        "build",
        "--package",
        "poller",
        "--package",
        "server",
        "--bins",
    ]);
    if is_optimised {
        command.arg("--release");
    } else {
        command.args(["--package", "xtask"]);
    }
    command
}

fn found_in(directory: &Path) -> Binaries {
    let find = |name: &str| {
        let path = directory.join(name);
        assert!(path.is_file(), "GHIBLI_BIN_DIR has no {}", path.display());
        path
    };
    Binaries {
        poller: find(POLLER),
        server: find(SERVER),
    }
}

fn built() -> Binaries {
    let mut command = build(!cfg!(debug_assertions));
    command
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null());

    let (done, build) = mpsc::channel();
    std::thread::spawn(move || done.send(command.output()));
    let output = build
        .recv_timeout(BUILD)
        .expect("cargo builds the programs in time")
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "the programs do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );

    // Cargo itself reports the paths, so this code need not guess target directories.
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts: Vec<Value> = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let find = |name: &str| {
        artifacts
            .iter()
            .filter(|artifact| artifact["target"]["name"] == name)
            .find_map(|artifact| artifact["executable"].as_str())
            .map_or_else(|| panic!("cargo built no {name}"), PathBuf::from)
    };
    Binaries {
        poller: find(POLLER),
        server: find(SERVER),
    }
}
