//! What a person sees: each command that people run, in a terminal of 80 columns.

use std::path::Path;
use std::process::Command;

use testkit::client::{get, try_get};
use testkit::process::{Process, binaries, cargo};
use testkit::redis::Redis;
use testkit::terminal::{COLUMNS, Terminal};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually, free_port};

/// The first character of a code for colours.
const ESCAPE: char = '\u{1b}';

fn command(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    command
}

/// Starts `cargo xtask up` with its first server at this port.
fn up(port: &str, options: &[&str]) -> Terminal {
    let mut cargo = cargo();
    cargo.args(["xtask", "up", "--port", port]).args(options);
    // This variable belongs to another way to run the mirror; `up` has its own cache.
    cargo.env("CACHE_URL_FILE", "/run/secrets/cache");
    Terminal::run(&cargo)
}

/// The first of two neighbouring ports that no other test uses.
fn two_free_ports() -> u16 {
    loop {
        let first = free_port();
        if free_port() == first + 1 {
            return first;
        }
    }
}

fn assert_is_orderly(terminal: &Terminal) {
    for line in terminal.lines() {
        assert!(
            !line.contains("panicked") && !line.contains("backtrace"),
            "{line}"
        );
        assert!(!line.contains("feature is required"), "{line}");
    }
}

/// Lines for a person must fit the terminal; log lines may be longer.
fn assert_fits(lines: &[String]) {
    for line in lines {
        let is_log = line.contains(ESCAPE);
        assert!(
            is_log || line.chars().count() <= usize::from(COLUMNS),
            "{line}"
        );
    }
}

async fn port_is_closed(port: &str) {
    let url = format!("http://127.0.0.1:{port}/films");
    let gone = async || try_get(&url).await.is_err();
    eventually("the server to be gone", TIME_LIMIT, gone).await;
}

#[tokio::test]
async fn up_offline_releases_what_is_typed_and_ends_with_ctrl_c() {
    let port = free_port().to_string();
    let mut up = up(&port, &["--offline"]);
    let films = up.shows("/movies").await;
    assert_eq!(
        films.trim(),
        format!("Films:   http://127.0.0.1:{port}/movies")
    );
    up.shows(&format!("JSON:    http://127.0.0.1:{port}/films"))
        .await;
    up.resize(40);
    // No input ends it: an empty line, bytes that are not text, or a line without an end.
    up.types(b"\n\xff\xfe\n").await;
    up.types("千と千尋の神隠し 2\n".as_bytes()).await;
    up.shows("released upstream: 千と千尋の神隠し 2").await;
    up.shows("release 1: ").await;
    up.resize(120);
    let url = format!("http://127.0.0.1:{port}/films?title=千と千尋の神隠し 2&fields=title");
    let url = url.replace('千', "%E5%8D%83").replace('と', "%E3%81%A8");
    let url = url.replace('尋', "%E5%B0%8B").replace('の', "%E3%81%AE");
    let url = url.replace('神', "%E7%A5%9E").replace('隠', "%E9%9A%A0");
    let url = url.replace('し', "%E3%81%97").replace(' ', "%20");
    let shown = async || get(&url).await.text().contains("千尋");
    eventually("the film on the server", TIME_LIMIT, shown).await;
    // Ctrl-D only ends the input.
    up.types(b"\x04").await;
    up.interrupt().await;
    assert_eq!(up.wait().await.code(), Some(0));
    up.shows("stopping").await;
    assert_is_orderly(&up);
    port_is_closed(&port).await;
}

#[tokio::test]
async fn up_with_several_readers_prints_two_lines() {
    let redis = Redis::start().await;
    let port = two_free_ports().to_string();
    let mut up = up(&port, &["--readers", "2", "--redis", &redis.url()]);
    let films = up.shows("/movies").await;
    let next = port.parse::<u16>().unwrap() + 1;
    assert!(films.contains(&format!("(and port {next})")), "{films}");
    up.shows("JSON:").await;
    let own = up.lines();
    let own = own.iter().position(|line| line.contains("Films:")).unwrap();
    assert_fits(&up.lines()[own..]);
    up.interrupt().await;
    assert_eq!(up.wait().await.code(), Some(0));
    assert_is_orderly(&up);
}

#[tokio::test]
async fn up_ends_in_order_when_its_terminal_is_closed() {
    let port = free_port().to_string();
    let mut up = up(&port, &["--offline"]);
    up.shows("Ctrl-C stops everything").await;
    up.close();
    assert_eq!(up.wait().await.code(), Some(0));
    port_is_closed(&port).await;
}

#[tokio::test]
async fn up_ends_when_a_program_does_and_says_which() {
    let port = free_port().to_string();
    let mut cargo = cargo();
    cargo.args(["xtask", "up", "--offline", "--port", &port]);
    // Only servers have this variable.
    cargo.env("LINKS", "nowhere");
    let mut up = Terminal::run(&cargo);
    up.shows("LINKS: ").await;
    up.shows("server 1 ended with exit status: 64").await;
    assert_eq!(up.wait().await.code(), Some(1));
    assert_is_orderly(&up);
}

#[tokio::test]
async fn up_says_that_a_port_is_taken_before_it_starts_anything() {
    let first = two_free_ports();
    let port = first + 1;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    for first in [first, port] {
        let mut up = up(&first.to_string(), &["--offline", "--readers", "2"]);
        up.shows(&format!("port {port} is taken; --port chooses another"))
            .await;
        assert_eq!(up.wait().await.code(), Some(1));
        assert_is_orderly(&up);
        assert!(!up.lines().concat().contains("building"));
    }
}

/// The processes that a process started.
fn children(pid: u32) -> Vec<i32> {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(children).expect("it runs");
    let children = children.split_whitespace();
    children.map(|pid| pid.parse().expect("a number")).collect()
}

#[tokio::test]
async fn up_does_not_wait_for_a_program_that_hangs_when_ctrl_c_comes_twice() {
    let port = free_port().to_string();
    let mut up = up(&port, &["--offline"]);
    up.shows("Ctrl-C stops everything").await;
    for pid in children(up.pid()) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    }
    up.interrupt().await;
    up.shows("stopping").await;
    let asked = std::time::Instant::now();
    up.interrupt().await;
    assert_eq!(up.wait().await.code(), Some(0));
    // Without the second Ctrl-C, the processes have twelve seconds to end.
    assert!(asked.elapsed() < std::time::Duration::from_secs(10));
    up.shows("the poller does not stop; killing it").await;
    assert_is_orderly(&up);
    port_is_closed(&port).await;
}

/// Uses a stand-in for Cargo whose build never ends.
#[tokio::test]
async fn up_can_be_stopped_while_it_builds() {
    use std::os::unix::fs::PermissionsExt;
    let mut build = cargo();
    build.args(["build", "--package", "xtask", "--quiet"]);
    assert!(build.status().unwrap().success());
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("cargo");
    std::fs::write(&slow, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut xtask = Command::new(top.join(target).join("debug/xtask"));
    xtask.args(["up", "--port", &free_port().to_string()]);
    xtask.env("CARGO", slow);
    let mut up = Terminal::run(&xtask);
    up.shows("building").await;
    let is_building = async || !children(up.pid()).is_empty();
    eventually("the build", TIME_LIMIT, is_building).await;
    up.interrupt().await;
    assert_eq!(up.wait().await.code(), Some(0));
    up.shows("stopping").await;
    assert_is_orderly(&up);
    assert!(!up.lines().concat().contains("failed"), "{:?}", up.lines());
}

#[tokio::test]
async fn log_lines_have_colours_in_a_terminal_that_wants_them_and_nowhere_else() {
    let quiet = [
        ("LISTEN_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
    ];
    let text = [&quiet[..], &[("LOG_FORMAT", "text")]].concat();
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", folder.path().display());
    let text = [&text[..], &[("CACHE_URL", &cache)]].concat();
    let shown = async |more: &[(&str, &str)]| {
        let environment = [&text[..], more].concat();
        let terminal = Terminal::run(&command(&binaries().server, &[], &environment));
        terminal.shows("listens at").await.contains(ESCAPE)
    };
    assert!(shown(&[]).await, "a terminal has colours");
    assert!(!shown(&[("NO_COLOR", "1")]).await, "NO_COLOR");
    assert!(!shown(&[("TERM", "dumb")]).await, "TERM=dumb");
    let piped: Vec<_> = text
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let server = Process::spawn("server", binaries().server, &[""; 0], &piped);
    let serving = async || {
        server
            .stderr()
            .iter()
            .any(|line| line.contains("listens at"))
    };
    eventually("the server", TIME_LIMIT, serving).await;
    assert!(!server.stderr().concat().contains(ESCAPE), "a pipe");
}

#[tokio::test]
async fn commands_fit_the_terminal_and_end_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", folder.path().display());
    let upstream = Upstream::start(catalogue());
    let api = upstream.url();
    let environment = [
        ("CACHE_URL", cache.as_str()),
        ("GHIBLI_API", &api),
        ("ADMIN_ADDR", "127.0.0.1:1"),
    ];
    for (command, status, text) in [
        (&["sync"][..], 0, "committed: generation"),
        (&["status"], 0, "all is well"),
        (&["verify"], 0, "the cache has what the upstream has"),
        (&["history"], 0, "the oldest that is kept"),
        (&["accept", "--yes"], 0, "generation"),
        (&["prune"], 0, "0 withdrawn records removed"),
        (&["--help"], 0, "POLL_SCHEDULE"),
        (&["--version"], 0, "ghibli-poller"),
        (&["snyc"], 2, "unrecognized subcommand"),
        (&["health"], 1, "nobody answers at 127.0.0.1:1"),
    ] {
        let mut terminal = Terminal::run(&self::command(&binaries().poller, command, &environment));
        assert_eq!(terminal.wait().await.code(), Some(status), "{command:?}");
        terminal.shows(text).await;
        assert_is_orderly(&terminal);
        // A directory may have a long name.
        let lines = terminal.lines();
        let lines: Vec<_> = lines
            .into_iter()
            .filter(|line| !line.contains(&cache))
            .collect();
        assert_fits(&lines);
    }
    for program in [binaries().poller, binaries().server] {
        let wrong = [
            ("LOG_FORMAT", "xml"),
            ("ADMIN_ADDR", "here"),
            ("LOG_LEVEL", "verbose"),
            ("POLL_SCHEDULE", "every minute"),
            ("UPSTREAM_TIMEOUT", "soon"),
            ("CACHE_CONTROL", "for a while"),
            ("CACHE_URL", "memcached://cache"),
        ];
        let mut terminal = Terminal::run(&command(&program, &[], &wrong));
        assert_eq!(terminal.wait().await.code(), Some(64));
        terminal.shows("LOG_FORMAT: ").await;
        assert_is_orderly(&terminal);
        assert_fits(&terminal.lines());
        let mut help = Terminal::run(&command(&program, &["--help"], &[]));
        assert_eq!(help.wait().await.code(), Some(0));
        assert_fits(&help.lines());
    }
    // An upstream that refuses connections: each collection has a reason.
    let dead = [
        ("CACHE_URL", cache.as_str()),
        ("GHIBLI_API", "http://127.0.0.1:1"),
        ("ADMIN_ADDR", "127.0.0.1:1"),
    ];
    let mut terminal = Terminal::run(&command(&binaries().poller, &["sync"], &dead));
    assert_eq!(terminal.wait().await.code(), Some(1));
    terminal.shows("vehicles").await;
    terminal.shows("failed: generation").await;
    assert_is_orderly(&terminal);
    let lines = terminal.lines();
    let own: Vec<_> = lines
        .into_iter()
        .filter(|line| !line.contains(&cache))
        .collect();
    assert_fits(&own);
    assert!(Path::new(&folder.path().join("snapshot.json")).exists());
}
