//! The Docker and Compose command lines of this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::process::installed;
use tokio::process::Command;

/// The time limit of a quick command.
pub(crate) const PROMPT: Duration = Duration::from_mins(1);

/// A Docker client that reaches an engine, and the Compose versions of this machine.
#[derive(Debug)]
pub(crate) struct Docker {
    program: PathBuf,
    composes: Vec<Vec<OsString>>,
}

impl Docker {
    /// The first client on the `PATH` that reaches an engine and can build; `None` when no engine
    /// answers.
    pub(crate) async fn find() -> Option<Self> {
        let mut answers = false;
        for program in installed("docker") {
            let server = ["version", "--format", "{{.Server.Version}}"];
            if try_run(Command::new(&program).args(server)).await.is_none() {
                continue;
            }
            answers = true;
            if can_build(&program).await {
                let composes = composes(&program).await;
                assert!(!composes.is_empty(), "there is Docker, but no Compose");
                return Some(Self { program, composes });
            }
        }
        assert!(
            !answers,
            "Docker is here, but neither has nor finds BuildKit"
        );
        None
    }

    /// Every Compose on this machine, the newest kind first: program and first arguments.
    pub(crate) fn composes(&self) -> &[Vec<OsString>] {
        &self.composes
    }

    /// The `PATH` on which Compose finds this client first.
    pub(crate) fn path(&self) -> OsString {
        let own = self.program.parent().map(Path::to_path_buf);
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)))
            .expect("the parts of a PATH make a PATH")
    }

    /// Runs `docker` with these arguments, and returns what it prints.
    ///
    /// Panics with its error output when it fails.
    pub(crate) async fn run(&self, args: &[&str]) -> String {
        run(Command::new(&self.program).args(args), PROMPT).await
    }

    /// As [`run`](Self::run), for commands that may fail: returns whether it succeeded, and its
    /// output.
    pub(crate) async fn attempt(&self, args: &[&str]) -> (bool, String) {
        attempt(Command::new(&self.program).args(args), PROMPT).await
    }

    /// As [`run`](Self::run), for code without a runtime. A failure is only reported.
    pub(crate) fn run_blocking(&self, args: &[&str]) {
        let outcome = std::process::Command::new(&self.program)
            .args(args)
            .stdout(Stdio::null())
            .status();
        if !outcome.is_ok_and(|status| status.success()) {
            eprintln!("{args:?} failed");
        }
    }

    /// What `docker inspect` returns for one container or network.
    pub(crate) async fn inspect(&self, name: &str) -> Value {
        let said = self.run(&["inspect", name]).await;
        let mut found: Value = serde_json::from_str(&said).expect("JSON from docker inspect");
        found[0].take()
    }
}

/// Runs a command to its end and returns its standard output.
///
/// Panics with its error output when it fails or takes too long.
pub(crate) async fn run(command: &mut Command, within: Duration) -> String {
    let output = output(command, within).await;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}:\n{stdout}\n{stderr}",
        shown(command)
    );
    stdout
}

/// As [`run`], for commands that may fail: returns whether it succeeded, and its output.
pub(crate) async fn attempt(command: &mut Command, within: Duration) -> (bool, String) {
    let output = output(command, within).await;
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).trim().to_owned(),
    )
}

async fn output(command: &mut Command, within: Duration) -> std::process::Output {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(output) = tokio::time::timeout(within, running).await else {
        panic!("no end within {within:?}: {}", shown(command));
    };
    output.unwrap_or_else(|error| panic!("{}: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    format!("{:?}", command.as_std())
}

async fn try_run(command: &mut Command) -> Option<String> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PROMPT, running).await.ok()?.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The Dockerfile needs `BuildKit`: the plugin `buildx`, or an older client that contains it.
async fn can_build(program: &Path) -> bool {
    const FIRST_WITHOUT_BUILDKIT: u32 = 23;

    if try_run(Command::new(program).args(["buildx", "version"]))
        .await
        .is_some()
    {
        return true;
    }
    let client = ["version", "--format", "{{.Client.Version}}"];
    let version = try_run(Command::new(program).args(client)).await;
    version
        .and_then(|version| version.split('.').next()?.parse().ok())
        .is_some_and(|major: u32| major < FIRST_WITHOUT_BUILDKIT)
}

async fn composes(docker: &Path) -> Vec<Vec<OsString>> {
    let plugin = vec![docker.into(), "compose".into()];
    let standalone = installed("docker-compose").map(|program| vec![program.into()]);
    let mut found = Vec::new();
    for compose in std::iter::once(plugin).chain(standalone.take(1)) {
        let mut version = Command::new(&compose[0]);
        version.args(&compose[1..]).arg("version");
        if try_run(&mut version).await.is_some() {
            found.push(compose);
        }
    }
    found
}
