//! What must not be there: an HTTP client in the server, the cache's writing half in its code,
//! and dependencies between poller and server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The names of everything that a package's binary is built from.
fn dependencies(package: &str) -> Vec<String> {
    let output = testkit::process::cargo()
        .args([
            "tree",
            "--locked",
            "--offline",
            "--package",
            package,
            "--edges",
            "normal",
        ])
        .args(["--prefix", "none", "--format", "{lib}"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_servers_dependencies_hold_no_http_client() {
    let server = dependencies("server");
    assert!(
        server.iter().any(|name| name == "warp"),
        "the list is a list: {server:?}"
    );
    for client in [
        "reqwest",
        "hyper_rustls",
        "ureq",
        "isahc",
        "curl",
        "attohttpc",
        "surf",
        "awc",
    ] {
        assert!(!server.iter().any(|name| name == client), "{client}");
    }
    assert!(
        dependencies("poller").iter().any(|name| name == "reqwest"),
        "the check can fail"
    );
}

#[test]
fn poller_and_server_do_not_depend_on_each_other() {
    assert!(!dependencies("server").iter().any(|name| name == "poller"));
    assert!(!dependencies("poller").iter().any(|name| name == "server"));
    for package in ["server", "poller"] {
        assert!(!dependencies(package).iter().any(|name| name == "testkit"));
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether code names the cache's writing half, or a client.
fn trespasses(code: &str) -> bool {
    [
        "cache::write",
        "write::",
        "Writer",
        "Commit",
        "reqwest",
        "hyper::client",
        "TcpStream",
    ]
    .iter()
    .any(|name| code.contains(name))
}

#[test]
fn the_servers_code_never_names_the_caches_writing_half() {
    let mut files = Vec::new();
    sources(&workspace().join("server/src"), &mut files);
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let code = std::fs::read_to_string(&file).unwrap();
        let ours = code
            .replace("flate2::write::", "")
            .replace("fmt::Write", "")
            .replace("io::Write", "");
        assert!(!trespasses(&ours), "{}", file.display());
    }
    let poller = std::fs::read_to_string(workspace().join("poller/src/sync.rs")).unwrap();
    assert!(trespasses(&poller), "the check can fail");
}
