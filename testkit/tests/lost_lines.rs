//! When a process cannot write log or printed lines, it loses those lines and nothing else.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use testkit::client::{hammer, try_get};
use testkit::process::binaries;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually, free_port};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const REQUESTS: usize = 10_000;

/// Each `accept` runs a sync, which logs all the usual lines.
const SYNCS: usize = 60;

fn full_device() -> OwnedFd {
    let file = File::options().write(true).open("/dev/full");
    file.unwrap().into()
}

fn closed_pipe() -> OwnedFd {
    std::io::pipe().unwrap().1.into()
}

fn closed_terminal() -> OwnedFd {
    testkit::terminal::closed()
}

fn start(program: &Path, log: &OwnedFd, environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(program);
    command.envs(environment.iter().copied());
    command.env("LOG_LEVEL", "debug").kill_on_drop(true);
    // If the process panics, it must not print the lines that it cannot log.
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap());
    command.stderr(log.try_clone().unwrap());
    command.spawn().unwrap()
}

/// Runs a command of the poller to its end.
async fn run(command: &str, output: impl Into<Stdio>, environment: &[(&str, &str)]) -> ExitStatus {
    let mut process = Command::new(binaries().poller);
    process
        .args(command.split(' '))
        .envs(environment.iter().copied());
    process.stdin(Stdio::null()).stdout(output);
    process.stderr(Stdio::null()).kill_on_drop(true);
    let ended = timeout(TIME_LIMIT, process.status()).await;
    ended.expect("the command ends").unwrap()
}

fn address() -> String {
    SocketAddr::from(([127, 0, 0, 1], free_port())).to_string()
}

/// Runs a poller and a server that log into `log`, and counts the requests that they receive.
async fn goes_on(name: &str, log: OwnedFd) {
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", folder.path().display());
    let upstream = Upstream::start(catalogue());
    let (api, poller_admin) = (upstream.url(), address());
    let (listen, server_admin) = (address(), address());
    let poller = [
        ("CACHE_URL", &*cache),
        ("GHIBLI_API", &api),
        ("ADMIN_ADDR", &poller_admin),
        ("POLL_SCHEDULE", "* * * * * *"),
    ];
    let server = [
        ("CACHE_URL", &*cache),
        ("LISTEN_ADDR", &listen),
        ("ADMIN_ADDR", &server_admin),
    ];
    let programs = binaries();
    let mut running = [
        start(&programs.poller, &log, &poller),
        start(&programs.server, &log, &server),
    ];
    let films = format!("http://{listen}/films/2baf70d1-42bb-4437-b551-e5fed5a87abe");
    let ready = format!("http://{poller_admin}/readyz");
    let is_up = async || {
        let both = [try_get(&films).await, try_get(&ready).await];
        both.iter()
            .all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200))
    };
    eventually(&format!("the mirror with {name}"), TIME_LIMIT, is_up).await;

    let asked = upstream.requests().len();
    let syncs = async {
        for _ in 0..SYNCS {
            assert!(
                run("accept --yes", Stdio::null(), &poller).await.success(),
                "{name}"
            );
        }
    };
    let urls = [films.clone(), format!("http://{listen}/films?limit=3")];
    let ((), tally) = tokio::join!(syncs, hammer(&urls, REQUESTS, 8));
    assert!(tally.all_ok(), "{name}: {tally:?}");
    assert_eq!(tally.answered, REQUESTS, "{name}");
    let asked = upstream.requests().len() - asked;
    assert!(
        asked >= SYNCS * 5,
        "{name}: {asked} requests to the upstream"
    );
    for process in &mut running {
        assert_eq!(process.try_wait().unwrap(), None, "{name}");
        // The last log lines must not delay the end either.
        let pid = i32::try_from(process.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
    for process in &mut running {
        let ended = timeout(TIME_LIMIT, process.wait()).await;
        assert_eq!(ended.expect("an end").unwrap().code(), Some(0), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_and_requests_go_on_when_log_lines_are_lost() {
    let (_nobody_reads, unread) = std::io::pipe().unwrap();
    tokio::join!(
        goes_on("a full device", full_device()),
        goes_on("a closed pipe", closed_pipe()),
        goes_on("a closed terminal", closed_terminal()),
        goes_on("a pipe that nobody reads", unread.into()),
    );
}

/// A printed line that cannot be written changes the exit status, but not the result.
#[tokio::test]
async fn commands_do_their_work_when_their_output_is_lost() {
    let upstream = Upstream::start(catalogue());
    let api = upstream.url();
    for (name, output, status) in [
        ("a full device", full_device(), 1),
        // As for every tool that SIGPIPE ends.
        ("a closed pipe", closed_pipe(), 141),
        ("a closed terminal", closed_terminal(), 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = format!("file:{}", folder.path().display());
        let environment = [
            ("CACHE_URL", &*cache),
            ("GHIBLI_API", &api),
            ("ADMIN_ADDR", "127.0.0.1:1"),
        ];
        let output_of = || output.try_clone().unwrap();
        let ended = run("sync", output_of(), &environment).await;
        assert_eq!(ended.code(), Some(status), "sync into {name}");
        assert!(folder.path().join("snapshot.json").exists(), "{name}");
        for command in ["accept --yes", "prune --yes"] {
            let ended = run(command, output_of(), &environment).await;
            assert_eq!(ended.code(), Some(status), "{command} into {name}");
        }
        for (command, status) in [
            ("--help", status),
            ("--version", status),
            ("no-such-command", 2),
        ] {
            let ended = run(command, output_of(), &environment).await;
            assert_eq!(ended.code(), Some(status), "{command} into {name}");
        }
    }
}

/// A full pipe, and its reading end, which nothing reads.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (unread, pipe) = std::io::pipe().unwrap();
    let mut options = File::options();
    // Linux's O_NONBLOCK, only for this description of the pipe.
    let filler = options.write(true).custom_flags(0o4000);
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut filler = filler.open(path).unwrap();
    while filler.write(b"line\n").is_ok() {}
    (pipe.into(), unread.into())
}

/// After a moment, a program also gives up on its last lines.
#[tokio::test]
async fn programs_end_even_if_nobody_reads_their_last_lines() {
    let upstream = Upstream::start(catalogue());
    let api = upstream.url();
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", folder.path().display());
    let right = [
        ("CACHE_URL", &*cache),
        ("GHIBLI_API", &api),
        ("ADMIN_ADDR", "127.0.0.1:1"),
    ];
    let wrong = [("LOG_FORMAT", "xml")];
    let (pipe, _unread) = full_pipe();
    for (arguments, environment, status) in [
        (&["sync"][..], &right[..], 0),
        (&["health"], &right, 1),
        (&["run"], &wrong, 64),
        (&["no-such-command"], &right, 2),
    ] {
        let mut process = Command::new(binaries().poller);
        process.args(arguments).envs(environment.iter().copied());
        process.stdin(Stdio::null()).stdout(Stdio::null());
        process.stderr(pipe.try_clone().unwrap()).kill_on_drop(true);
        let ended = timeout(TIME_LIMIT, process.status()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{arguments:?} goes on"));
        assert_eq!(ended.unwrap().code(), Some(status), "{arguments:?}");
    }
}

/// Larger than a snapshot, in bytes.
const LARGEST_FILE: usize = 1 << 20;

/// When the disk has space again, the log says how many lines are missing.
#[tokio::test]
async fn the_log_says_how_many_lines_were_lost() {
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", folder.path().display());
    let upstream = Upstream::start(catalogue());
    let (api, admin) = (upstream.url(), address());
    let environment = [
        ("CACHE_URL", &*cache),
        ("GHIBLI_API", &api),
        ("ADMIN_ADDR", &admin),
    ];
    // A file that is almost as large as allowed, and accepts more when it is emptied.
    let log = folder.path().join("log");
    std::fs::write(&log, " ".repeat(LARGEST_FILE - 1000)).unwrap();
    let file: OwnedFd = File::options()
        .append(true)
        .create(true)
        .open(&log)
        .unwrap()
        .into();
    let poller = binaries().poller.display().to_string();
    let blocks = LARGEST_FILE / 512;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec {poller}");
    let mut process = Command::new("/bin/sh");
    process
        .args(["-c", &limited])
        .envs(environment)
        .kill_on_drop(true);
    process.stderr(file).env("POLL_SCHEDULE", "* * * * * *");
    let _process = process.spawn().unwrap();
    let full = async || std::fs::metadata(&log).is_ok_and(|file| file.len() == LARGEST_FILE as u64);
    eventually("a full log", 2 * TIME_LIMIT, full).await;
    let synced = upstream.requests().len();
    let goes_on = async || upstream.requests().len() > synced + 10;
    eventually("two more syncs", TIME_LIMIT, goes_on).await;
    File::options()
        .write(true)
        .truncate(true)
        .open(&log)
        .unwrap();
    let said = async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let mut notices = text.lines().filter(|line| line.contains("lost_lines"));
        notices.any(|line| line.contains("ERROR") && !line.contains("\"lost_lines\":0"))
    };
    eventually("the number of lost lines", TIME_LIMIT, said).await;
}
