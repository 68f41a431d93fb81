//! What every comparison needs: two processor cores, a cache that a poller filled, and the mirror's
//! bodies as files for the other servers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use benchkit::answer::Answer;
use serde_json::Value;
use tempfile::TempDir;
use testkit::upstream::Upstream;

use super::program::{Launch, Program};
use super::programs::Programs;
use crate::install::run;

/// The base URL in the mirror's bodies; all servers send the same links.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// A schedule with a sync each second.
pub(super) const EVERY_SECOND: &str = "* * * * * *";

/// A schedule without a sync, apart from the one at the start.
pub(super) const NEVER: &str = "0 0 0 29 2 *";

/// The processor cores, as `taskset` names them.
pub(super) struct Cores {
    /// For the measured servers.
    pub(super) server: String,
    /// For the load.
    pub(super) load: String,
    /// All.
    pub(super) all: String,
}

/// See the module's description. Dropping it removes its folder.
pub(super) struct Stage {
    pub(super) programs: Programs,
    pub(super) cores: Cores,
    pub(super) upstream: Upstream,
    /// The id of the film that is asked for.
    pub(super) film: String,
    /// One line on the machine and the commit.
    pub(super) machine: String,
    folder: TempDir,
}

impl Stage {
    /// Builds what is missing, and fills a cache.
    pub(super) async fn set() -> Result<Self> {
        let top = crate::top().join("target").join("bench");
        std::fs::create_dir_all(&top)?;
        ensure!(
            tempfile::env::override_temp_dir(&top).is_ok(),
            "another folder for temporary files is set already"
        );
        let programs = Programs::find()?;
        let catalogue = testkit::catalogue();
        let film = catalogue["films"][0]["id"].as_str();
        let film = film.context("the first film has an id")?.to_owned();
        let stage = Self {
            programs,
            cores: Cores::of_this_machine()?,
            upstream: Upstream::start(catalogue),
            film,
            machine: machine(),
            folder: tempfile::tempdir()?,
        };
        stage.fill_cache().await?;
        Ok(stage)
    }

    /// Where everything of this run is written.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The bodies as files, below a folder that a static file server can serve.
    pub(super) fn files(&self) -> PathBuf {
        self.folder().join("files")
    }

    /// A reader that is not started yet, on free ports.
    pub(super) fn reader_launch(&self, cache: &str) -> Launch {
        Launch::ours("reader", &self.programs.server)
            .env("CACHE_URL", cache)
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("PUBLIC_URL", PUBLIC_URL)
            .env("LOG_FORMAT", "json")
    }

    /// Starts a reader, and waits until it has loaded its cache and compressed its bodies.
    pub(super) async fn reader(&self, cache: &str, cores: &str) -> Result<Reader> {
        let launch = self.reader_launch(cache);
        let reader = Reader::loaded(launch.start(cores, self.folder())?).await?;
        reader.compressed().await
    }

    /// A reader for caches to ask, away from the measured servers.
    pub(super) async fn origin(&self) -> Result<Reader> {
        self.reader(&self.cache_url(), &self.cores.load).await
    }

    /// Starts a poller of the stand-in upstream.
    pub(super) fn poller(&self, cache: &str, schedule: &str) -> Result<Program> {
        self.poller_of(&self.upstream, cache, schedule)
    }

    /// Starts a poller of another upstream.
    pub(super) fn poller_of(
        &self,
        upstream: &Upstream,
        cache: &str,
        schedule: &str,
    ) -> Result<Program> {
        Launch::ours("poller", &self.programs.poller)
            .env("GHIBLI_API", upstream.url())
            .env("CACHE_URL", cache)
            .env("POLL_SCHEDULE", schedule)
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .start(&self.cores.all, self.folder())
    }

    /// The cache that holds the catalogue.
    pub(super) fn cache_url(&self) -> String {
        format!("file:{}", self.folder().join("cache").display())
    }

    /// A file cache that does not exist yet.
    pub(super) fn new_cache(&self) -> String {
        static CACHES: AtomicUsize = AtomicUsize::new(0);

        let number = CACHES.fetch_add(1, Ordering::Relaxed);
        let cache = self.folder().join(format!("cache-{number}"));
        format!("file:{}", cache.display())
    }
    async fn fill_cache(&self) -> Result<()> {
        let mut poller = Launch::ours("poller", &self.programs.poller)
            .arg("sync")
            .env("GHIBLI_API", self.upstream.url())
            .env("CACHE_URL", self.cache_url())
            .start(&self.cores.all, self.folder())?;
        poller.ended().await
    }

    /// Writes what the mirror answers below [`files`](Self::files), also in gzip.
    pub(super) async fn write_bodies(&self) -> Result<()> {
        let reader = self.reader(&self.cache_url(), &self.cores.server).await?;
        let one = format!("/films/{}", self.film);
        for (path, extension) in [
            ("/films", "json"),
            (&*one, "json"),
            ("/db", "json"),
            ("/movies", "html"),
        ] {
            let file = self.files().join(format!("{}.{extension}", &path[1..]));
            std::fs::create_dir_all(file.parent().context("a file in a folder")?)?;
            let answer = answer(reader.address, path, &[])?;
            ensure!(answer.status() == 200, "{path}: {}", answer.status());
            std::fs::write(&file, answer.body())?;
            run(Command::new("gzip")
                .args(["-9", "--keep", "--force"])
                .arg(file))?;
        }
        Ok(())
    }
}

/// A started reader.
pub(super) struct Reader {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

impl Reader {
    /// Waits until a started reader has loaded its cache.
    pub(super) async fn loaded(mut program: Program) -> Result<Self> {
        let address = program.printed(serving).await?;
        let is_loaded = || (answer(address, "/films", &[]).ok()?.status() == 200).then_some(());
        program.until(is_loaded).await?;
        Ok(Self { program, address })
    }

    /// Waits until it has compressed its bodies; it answers before that.
    pub(super) async fn compressed(mut self) -> Result<Self> {
        let (address, brotli) = (self.address, [("Accept-Encoding".into(), "br".into())]);
        let is_compressed = || {
            let answer = answer(address, "/movies", &brotli).ok()?;
            answer.header("content-encoding").map(drop)
        };
        self.program.until(is_compressed).await?;
        Ok(self)
    }
}

/// Finds the log line of this sync in a poller's log; the first is 1.
pub(super) fn syncs(number: usize) -> impl Fn(&str) -> Option<Value> {
    move |log| {
        let mut lines = log
            .lines()
            .filter(|line| line.contains("\"sync_completed\""));
        serde_json::from_str(lines.nth(number - 1)?).ok()
    }
}

/// A port of this machine.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The answer to a GET on a connection of its own.
pub(super) fn answer(
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
) -> Result<Answer> {
    Answer::to(address, &request(path, headers)).with_context(|| format!("GET {path}"))
}

/// A GET's bytes.
pub(super) fn request(path: &str, headers: &[(String, String)]) -> String {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request + "\r\n"
}

/// The address in the log line of a server that serves.
fn serving(log: &str) -> Option<SocketAddr> {
    log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["address"].as_str()?.parse().ok()
    })
}

impl Cores {
    fn of_this_machine() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("needs Linux")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let all = line.context("Linux lists the allowed cores")?.trim();
        let mut cores = Vec::new();
        for range in all.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            cores.extend(first.parse::<usize>()?..=last.parse()?);
        }
        let [server, load, ..] = cores[..] else {
            bail!("the servers and the load need a core each; this machine allows {all}");
        };
        Ok(Self {
            server: server.to_string(),
            load: load.to_string(),
            all: all.to_owned(),
        })
    }
}

/// The processor, the number of cores, the kernel and the commit.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let cpu = cpu.unwrap_or("unknown processor").trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .current_dir(crate::top())
        .output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let commit = commit.unwrap_or_default();
    let programs = match std::env::var_os("GHIBLI_BIN_DIR") {
        Some(_) => ", programs of GHIBLI_BIN_DIR",
        None => "",
    };
    format!(
        "{cpu}, {cores} cores, Linux {}, commit {}{programs}",
        kernel.trim(),
        commit.trim()
    )
}
