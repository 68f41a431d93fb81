//! Code that a program must not contain: an HTTP client or the cache's writing half in the server,
//! and the other program's code. And crates that Cargo would compile more than once.
//!
//! The compiler checks the rest: the writing half is private without its feature, and the image and
//! the workflow build `server` on its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;

/// The lines of `cargo tree` with these arguments.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let output = testkit::process::cargo()
        .args(["tree", "--offline", "--prefix", "none"])
        .args(arguments)
        .output()
        .unwrap();
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failure}");
    let lines = String::from_utf8(output.stdout).unwrap();
    // Cargo marks repeated lines with a star.
    let lines = lines.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.map(str::to_owned).collect()
}

/// The names of a program's dependencies and of their features:
/// `tokio`, `tokio feature "net"`.
struct Parts(BTreeSet<String>);

impl Parts {
    fn of(package: &str) -> Self {
        let edges = ["--edges", "normal,features", "--format", "{lib}"];
        Self(tree(&[&["--package", package], &edges[..]].concat()))
    }

    fn have(&self, part: &str) -> bool {
        self.0.contains(part)
    }
}

#[test]
fn the_servers_dependencies_hold_no_http_client() {
    let clients = [
        "reqwest",
        "hyper_rustls",
        "hyper feature \"client\"",
        "ureq",
        "isahc",
        "curl",
        "attohttpc",
        "surf",
        "awc",
    ];
    let (server, poller) = (Parts::of("server"), Parts::of("poller"));
    assert!(server.have("warp"), "the list is a list");
    for client in clients {
        assert!(!server.have(client), "{client}");
    }
    for client in &clients[..3] {
        assert!(poller.have(client), "the check can fail: {client}");
    }
}

#[test]
fn poller_and_server_do_not_depend_on_each_other() {
    let (server, poller) = (Parts::of("server"), Parts::of("poller"));
    assert!(server.have("server") && poller.have("poller"));
    assert!(!server.have("poller") && !poller.have("server"));
    assert!(!server.have("testkit") && !poller.have("testkit"));
}

#[test]
fn the_server_is_built_without_the_caches_writing_half() {
    let writing = "shared feature \"write\"";
    assert!(!Parts::of("server").have(writing));
    assert!(Parts::of("poller").have(writing), "the check can fail");
}

/// `cargo xtask`, its quick build of the programs, and the tests give every crate the same features.
#[test]
fn every_crate_is_compiled_once() {
    let features = |edges, packages: &[&str]| {
        let shape = ["--edges", edges, "--format", "{p} [{f}]"];
        tree(&[&shape[..], packages].concat())
    };
    let tests = features("all", &["--workspace"]);
    let programs = ["--package", "poller", "--package", "server"];
    let xtask = ["--package", "xtask"];
    for others in [
        features("normal,build", &xtask),
        features("normal,build", &[&xtask[..], &programs].concat()),
    ] {
        let only_there: Vec<_> = others.difference(&tests).collect();
        assert!(only_there.is_empty(), "{only_there:#?}");
    }
    let alone = features("normal,build", &programs);
    assert!(!alone.is_subset(&tests), "the check can fail");
}
