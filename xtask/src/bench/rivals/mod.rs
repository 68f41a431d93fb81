//! The compared servers: how each is started, and where it serves the same bodies.

mod applications;
pub(super) mod nginx;
mod varnish;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cases::{Case, Place, Rival, What};
use super::program::{Launch, Program};
use super::stage::{self, Stage, loopback};
use crate::install::install;

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
                let (program, address) =
                    nginx::start(self.name(), &nginx::files(self, stage), stage, cores)?;
                (program, address, None)
            }
            Self::NginxProxy => {
                let origin = stage.origin().await?;
                let name = self.name();
                let (program, address) =
                    nginx::start(name, &nginx::proxy(origin.address), stage, cores)?;
                (program, address, Some(origin.program))
            }
            Self::Varnish => varnish::start(stage, cores).await?,
            Self::JsonServer => applications::json_server(stage, cores).await?,
            Self::Reference => applications::reference(stage, cores)?,
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
