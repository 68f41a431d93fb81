//! A started program with all its processes. It has a process group of its own, so that ending it
//! also ends its workers, on every way out of the benchmark.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use benchkit::spent::{Spent, processes};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};

/// How long a program may take to start, or to do its work, unless a launch says otherwise.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How long a program may take to end before it is killed.
const END: Duration = Duration::from_secs(3);

/// How often to look for an event.
const INTERVAL: Duration = Duration::from_millis(2);

/// Where the settings of the allocator stand.
const DOCKERFILE: &str = include_str!("../../../Dockerfile");

/// A program that is not started yet.
pub(super) struct Launch {
    name: String,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    time_limit: Duration,
}

impl Launch {
    pub(super) fn new(name: &str, program: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.to_owned(),
            arguments: vec![program.as_ref().to_owned()],
            environment: Vec::new(),
            time_limit: TIME_LIMIT,
        }
    }

    /// One of our programs, with the environment that its image and its unit give it.
    pub(super) fn ours(name: &str, program: &Path) -> Self {
        let settings = DOCKERFILE.lines().filter_map(|line| {
            let (variable, value) = line.strip_prefix("ENV ")?.split_once('=')?;
            variable.starts_with("MALLOC_").then_some((variable, value))
        });
        let launch = Self::new(name, program);
        settings.fold(launch, |launch, (variable, value)| {
            launch.env(variable, value)
        })
    }

    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(super) fn args(self, arguments: &[impl AsRef<OsStr>]) -> Self {
        arguments.iter().fold(self, Self::arg)
    }

    pub(super) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Starts the program on these cores. Both outputs go to a new file in `folder`.
    pub(super) fn start(self, cores: &str, folder: &Path) -> Result<Program> {
        let number = std::fs::read_dir(folder)?.count();
        let log = folder.join(format!("{}-{number}.log", self.name));
        let output = File::create(&log)?;
        let inherited = ["PATH", "HOME"].iter();
        let inherited = inherited.filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new("taskset")
            .args(["--cpu-list", cores])
            .args(&self.arguments)
            .env_clear()
            .envs(inherited)
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        Ok(Program {
            name: self.name,
            child,
            log,
            time_limit: self.time_limit,
        })
    }
}

/// A running program. Dropping it ends it.
pub(super) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    time_limit: Duration,
}

impl Program {
    /// The process id, which is also the group's.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What all its processes have used.
    pub(super) fn spent(&self) -> Result<Spent> {
        Spent::by_group(self.pid()).with_context(|| format!("{} is gone", self.name))
    }

    /// Moves all its processes and threads to other cores.
    pub(super) fn move_to(&self, cores: &str) -> Result<()> {
        for process in processes(self.pid())? {
            let status = Command::new("taskset")
                .args(["--all-tasks", "--cpu-list", "--pid", cores, &process])
                .stdout(Stdio::null())
                .status()?;
            ensure!(status.success(), "cannot move {} to {cores}", self.name);
        }
        Ok(())
    }

    /// Waits until `probe` finds something in what the program has printed.
    pub(super) async fn printed<T>(&mut self, probe: impl Fn(&str) -> Option<T>) -> Result<T> {
        let log = self.log.clone();
        self.until(|| probe(&std::fs::read_to_string(&log).unwrap_or_default()))
            .await
    }

    /// Waits until `probe` returns something.
    pub(super) async fn until<T>(&mut self, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = probe() {
                return Ok(found);
            }
            if let Some(end) = self.end()? {
                bail!("{} ended with {end:?}: {}", self.name, self.said());
            }
            if began.elapsed() > self.time_limit {
                bail!(
                    "{} did not start in {:?}: {}",
                    self.name,
                    self.time_limit,
                    self.said()
                );
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until the program ends by itself, without a failure.
    pub(super) async fn ended(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.end()? {
                Some(end) if end.exit_status() == Some(0) => return Ok(()),
                Some(end) => bail!("{} ended with {end:?}: {}", self.name, self.said()),
                None if began.elapsed() > self.time_limit => bail!("{} does not end", self.name),
                None => tokio::time::sleep(INTERVAL).await,
            }
        }
    }

    /// How it ended, if it has. The process id stays its own until it is dropped, so that no signal
    /// reaches a stranger.
    fn end(&self) -> Result<Option<WaitIdStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.group()), options)?)
    }

    fn group(&self) -> Pid {
        let id = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        id.expect("ids are positive")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        // The group may have ended already.
        _ = kill_process_group(self.group(), signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < END && matches!(self.end(), Ok(None)) {
            std::thread::park_timeout(INTERVAL);
        }
        // Ends workers that outlive their parent.
        self.signal(Signal::KILL);
        _ = self.child.wait();
    }
}
