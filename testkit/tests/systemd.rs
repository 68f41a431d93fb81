//! The units of `deploy/systemd`: systemd accepts them and finds them confined, and both programs
//! notify it as `Type=notify` demands.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::PathBuf;
use std::process::Command;

use testkit::process::{Poller, Process, Server, Signal, binaries, installed};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, skip};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// The highest exposure by `systemd-analyze security`, in tenths; without any hardening it is 96.
const MOST_EXPOSED: &str = "12";

/// Whether the units can be checked here.
fn has_systemd() -> bool {
    let found = installed("systemd-analyze").next().is_some();
    if !found {
        skip("systemd", "systemd-analyze is missing");
    }
    found
}

/// The unit as installed, but with the program that these tests run.
fn unit(directory: &tempfile::TempDir, program: &str) -> PathBuf {
    let name = format!("ghibli-{program}.service");
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/systemd");
    let text = std::fs::read_to_string(format!("{units}/{name}")).unwrap();
    let binary = match program {
        "poller" => binaries().poller,
        _ => binaries().server,
    };
    let installed = format!("/usr/local/bin/ghibli-{program}");
    assert_eq!(text.matches(&installed).count(), 1, "{name}");
    let path = directory.path().join(name);
    std::fs::write(&path, text.replace(&installed, binary.to_str().unwrap())).unwrap();
    path
}

#[test]
fn the_units_set_the_allocator_as_the_image_does() {
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{top}/{path}")).unwrap();
    let image = read("Dockerfile");
    let settings: Vec<_> = image
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "))
        .filter(|setting| setting.starts_with("MALLOC_"))
        .collect();
    assert_eq!(settings.len(), 2);
    let line = format!("\nEnvironment={}\n", settings.join(" "));
    for program in ["poller", "server"] {
        let unit = read(&format!("deploy/systemd/ghibli-{program}.service"));
        assert!(unit.contains(&line), "{program}: {line}");
    }
}

#[test]
fn systemd_accepts_the_units_without_a_word() {
    if !has_systemd() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let units = ["poller", "server"].map(|program| unit(&directory, program));
    let mut verify = Command::new("systemd-analyze");
    let output = verify.arg("verify").args(&units).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let of_ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("ghibli"))
        .collect();
    assert!(output.status.success() && of_ours.is_empty(), "{said}");

    // The check must be able to fail.
    let text = std::fs::read_to_string(&units[0]).unwrap();
    std::fs::write(&units[0], text.replace("ProtectHome=", "ProtectHouse=")).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let output = verify.arg("verify").arg(&units[0]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ProtectHouse"), "{said}");
}

#[test]
fn the_units_are_confined() {
    if !has_systemd() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for program in ["poller", "server"] {
        let unit = unit(&directory, program);
        let threshold = format!("--threshold={MOST_EXPOSED}");
        let mut security = Command::new("systemd-analyze");
        let output = security
            .args(["security", "--no-pager", "--offline=true", &threshold])
            .arg(unit)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{program}: {said}");
    }
}

/// The supervisor's end.
struct Supervisor {
    socket: UnixDatagram,
    _directory: tempfile::TempDir,
    address: String,
}

impl Supervisor {
    fn listening() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        Self {
            socket: UnixDatagram::bind(&path).unwrap(),
            address: path.to_str().unwrap().to_owned(),
            _directory: directory,
        }
    }

    /// At an address that is no file, as systemd itself uses.
    fn abstract_at(name: &str) -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram as Blocking};
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let socket = Blocking::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket: UnixDatagram::from_std(socket).unwrap(),
            address: format!("@{name}"),
            _directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Checks the next message.
    async fn hears(&self, expected: &str) {
        let mut message = [0; 64];
        let received = timeout(TIME_LIMIT, self.socket.recv(&mut message));
        let length = received.await.expect(expected).unwrap();
        assert_eq!(std::str::from_utf8(&message[..length]), Ok(expected));
    }
}

async fn assert_notifies(supervisor: &Supervisor, mut process: Process) {
    supervisor.hears("READY=1").await;
    process.signal(Signal::Term);
    supervisor.hears("STOPPING=1").await;
    assert!(process.wait().await.success());
}

#[tokio::test]
async fn both_programs_say_when_they_are_ready_and_when_they_stop() {
    let upstream = Upstream::start(catalogue());
    let cache = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", cache.path().display());

    let supervisor = Supervisor::listening();
    let poller = Poller::new(&upstream.url(), &cache);
    let poller = poller.env("NOTIFY_SOCKET", &*supervisor.address).spawn();
    assert_notifies(&supervisor, poller).await;

    let supervisor = Supervisor::abstract_at(&format!("ghibli-{}", std::process::id()));
    let server = Server::new(&cache).env("NOTIFY_SOCKET", &*supervisor.address);
    assert_notifies(&supervisor, server.spawn()).await;
}

#[tokio::test]
async fn a_supervisor_that_is_gone_stops_nobody() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::new(&format!("file:{}", cache.path().display()));
    let server = server.env("NOTIFY_SOCKET", "/nonexistent/notify");
    let mut server = server.start().await;
    server
        .process
        .wait_for_log("supervisor_deaf", |_| true)
        .await;
    server.process.signal(Signal::Term);
    assert!(server.process.wait().await.success());
}
