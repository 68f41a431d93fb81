//! The compared servers: how each is started, and where it serves the same bodies.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use testkit::free_port;

use super::cases::{Case, Place, What};
use super::program::{Launch, Program};
use super::stage::{self, Stage, loopback};
use crate::install::{install, is_installed, run};

/// Installs the compared servers of Debian, and the load.
pub(super) fn install_all() -> Result<()> {
    for (program, package) in [
        ("nginx", "nginx"),
        ("varnishd", "varnish"),
        ("wrk", "wrk"),
        ("memcached", "memcached"),
    ] {
        let is_there = || program_file(program).is_file();
        install(program, &[package], package, is_there)?;
    }
    Ok(())
}

/// A compared server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    /// This project's server.
    Mirror,
    /// The mirror's answer, repeated by a bare loop.
    Floor,
    /// Files, kept open.
    Nginx,
    /// Files, compressed for each request.
    NginxGzip,
    /// Files, compressed beforehand at the best level.
    NginxGzipStatic,
    /// A cache in front of the mirror.
    NginxProxy,
    /// A cache in memory in front of the mirror.
    Varnish,
    /// The software that the upstream runs.
    JsonServer,
    /// What this project replaces: Flask and memcached.
    Reference,
}

/// A started server.
pub(super) struct Running {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
    /// Path and query.
    pub(super) path: String,
    /// A cache needs its origin, and an application its cache.
    _other: Option<Program>,
}

impl Running {
    /// A reader that is asked for this path.
    pub(super) fn of(reader: stage::Reader, path: &str) -> Self {
        Self {
            program: reader.program,
            address: reader.address,
            path: path.to_owned(),
            _other: None,
        }
    }
}

impl Rival {
    /// Its name in tables and among the figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Floor => "floor",
            Self::Nginx => "nginx",
            Self::NginxGzip => "nginx-gzip",
            Self::NginxGzipStatic => "nginx-gzip-static",
            Self::NginxProxy => "nginx-proxy-cache",
            Self::Varnish => "varnish",
            Self::JsonServer => "json-server",
            Self::Reference => "reference",
        }
    }

    /// Starts it for a case, and waits until it answers.
    pub(super) async fn start(self, stage: &Stage, case: &Case) -> Result<Running> {
        let cores = match case.place {
            Place::OneCore => &stage.cores.server,
            Place::Crowded | Place::AllCores => &stage.cores.all,
        };
        let path = path(self, stage, case);
        let started = match self {
            Self::Mirror => {
                let reader = stage.reader(&stage.cache_url(), cores).await?;
                (reader.program, reader.address, None)
            }
            Self::Floor => floor(stage, case, cores).await?,
            Self::Nginx | Self::NginxGzip | Self::NginxGzipStatic => {
                let (program, address) = nginx(self.name(), &self.nginx(stage), stage, cores)?;
                (program, address, None)
            }
            Self::NginxProxy => {
                let origin = stage.origin().await?;
                let name = self.name();
                let (program, address) = nginx(name, &proxy(origin.address), stage, cores)?;
                (program, address, Some(origin.program))
            }
            Self::Varnish => varnish(stage, cores).await?,
            Self::JsonServer => {
                let (program, address) = json_server(stage, cores).await?;
                (program, address, None)
            }
            Self::Reference => reference(stage, cores)?,
        };
        let (mut program, address, other) = started;
        let answers = || stage::answer(address, &path, &[]).ok().map(drop);
        program.until(answers).await?;
        Ok(Running {
            program,
            address,
            path,
            _other: other,
        })
    }

    /// The server block of an nginx that serves files.
    fn nginx(self, stage: &Stage) -> String {
        let compression = match self {
            Self::NginxGzip => "gzip on; gzip_types application/json;",
            Self::NginxGzipStatic => "gzip_static on;",
            _ => "",
        };
        format!(
            "root {}; {compression}\n\
             open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;",
            stage.files().display()
        )
    }
}

fn path(rival: Rival, stage: &Stage, case: &Case) -> String {
    let is_static = matches!(
        rival,
        Rival::Nginx | Rival::NginxGzip | Rival::NginxGzipStatic
    );
    let path = match case.what {
        What::Film => format!("/films/{}", stage.film),
        What::Films => "/films".to_owned(),
        What::Movies => "/movies".to_owned(),
        What::Nothing => "/films/00000000-0000-0000-0000-000000000000".to_owned(),
    };
    let extension = match case.what {
        _ if !is_static => "",
        What::Movies => ".html",
        _ => ".json",
    };
    path + extension + case.query
}

type Started = (Program, SocketAddr, Option<Program>);

/// Repeats what a mirror answers.
async fn floor(stage: &Stage, case: &Case, cores: &str) -> Result<Started> {
    let mirror = stage.reader(&stage.cache_url(), cores).await?;
    let address = mirror.address;
    let path = path(Rival::Floor, stage, case);
    let headers = headers(case, address, &path)?;
    let answer = stage::answer(address, &path, &headers)?;
    let file = stage.folder().join(format!("floor-{}", case.name));
    std::fs::write(&file, &answer.bytes)?;
    let launch = Launch::new("floor", &stage.programs.floor).arg(file);
    let mut program = launch.start(cores, stage.folder())?;
    let port = program.printed(port).await?;
    Ok((program, loopback(port), None))
}

/// A case's header fields for one server; a conditional request needs the server's own validator.
pub(super) fn headers(
    case: &Case,
    address: SocketAddr,
    path: &str,
) -> Result<Vec<(String, String)>> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut headers: Vec<_> = case.headers.iter().map(owned).collect();
    if case.is_conditional {
        let answer = stage::answer(address, path, &headers)?;
        // The floor answers whatever it is asked.
        let etag = answer.header("etag").context("an answer without an ETag")?;
        headers.push(("If-None-Match".to_owned(), etag.to_owned()));
    }
    Ok(headers)
}

/// nginx as Debian sets it up, without an access log.
pub(super) fn nginx(
    name: &str,
    server: &str,
    stage: &Stage,
    cores: &str,
) -> Result<(Program, SocketAddr)> {
    let port = free_port();
    let folder = stage.folder().join(format!("{name}-{port}"));
    std::fs::create_dir_all(&folder)?;
    let there = folder.display();
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|path| format!("{path}_temp_path {there}/{path};\n"))
        .concat();
    let workers = if *cores == stage.cores.server {
        "1"
    } else {
        "auto"
    };
    let configuration = format!(
        "daemon off; worker_processes {workers}; pid {there}/pid; {user}\n\
         error_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
         types {{ application/json json; text/html html; }}\n{paths}\
         proxy_cache_path {there}/cache keys_zone=mirror:8m;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096;\n{server}\n}}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let launch = Launch::new(name, program_file("nginx"))
        .args(&["-e", "stderr", "-p"])
        .arg(&folder)
        .arg("-c")
        .arg(file);
    Ok((launch.start(cores, stage.folder())?, loopback(port)))
}

/// The server block of an nginx that caches the mirror's answers.
fn proxy(origin: SocketAddr) -> String {
    format!(
        "location / {{ proxy_pass http://{origin}; proxy_cache mirror; proxy_cache_valid 1h;\n\
         proxy_ignore_headers Cache-Control Vary; }}\n\
         open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;"
    )
}

/// Varnish with its cache in memory. The mirror asks caches to ask it again each time; this one
/// does not.
async fn varnish(stage: &Stage, cores: &str) -> Result<Started> {
    let origin = stage.origin().await?;
    let port = free_port();
    let folder = stage.folder().join(format!("varnish-{port}"));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("default.vcl");
    let vcl = format!(
        "vcl 4.1;\n\
         backend default {{ .host = \"{}\"; .port = \"{}\"; }}\n\
         sub vcl_backend_response {{ set beresp.ttl = 1h; return (deliver); }}\n",
        origin.address.ip(),
        origin.address.port()
    );
    std::fs::write(&file, vcl)?;
    let launch = Launch::new("varnish", program_file("varnishd"))
        .args(&["-F", "-j", "none", "-s", "malloc,64m", "-f"])
        .arg(file)
        .arg("-n")
        .arg(folder.join("state"))
        .arg("-a")
        .arg(format!("127.0.0.1:{port}"));
    let program = launch.start(cores, stage.folder())?;
    Ok((program, loopback(port), Some(origin.program)))
}

/// The upstream's software with its two own parameters, as the tests compare it.
async fn json_server(stage: &Stage, cores: &str) -> Result<(Program, SocketAddr)> {
    let folder = oracle()?;
    let catalogue = stage.folder().join("catalogue.json");
    std::fs::write(&catalogue, stage.upstream.catalogue().to_string())?;
    let launch = Launch::new("json-server", "node")
        .env("NODE_ENV", "production")
        .arg(folder.join("server.js"))
        .arg(catalogue);
    let mut program = launch.start(cores, stage.folder())?;
    let port = program.printed(port).await?;
    Ok((program, loopback(port)))
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
fn reference(stage: &Stage, cores: &str) -> Result<Started> {
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

/// A port that a program printed in a line of its own.
fn port(log: &str) -> Option<u16> {
    let (line, _) = log.split_once('\n')?;
    line.trim().parse().ok()
}

/// Debian keeps servers where only root looks.
fn program_file(name: &str) -> PathBuf {
    let installed = testkit::process::installed(name).next();
    installed.unwrap_or_else(|| PathBuf::from("/usr/sbin").join(name))
}
