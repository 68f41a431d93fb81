//! The two binaries as a person uses them on the command line.

use std::path::Path;

use testkit::catalogue;
use testkit::client::{get, request};
use testkit::process::{Poller, Process, Server, Signal, binaries};
use testkit::upstream::Upstream;

fn run(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    Process::spawn("command", program, arguments, &environment)
}

#[tokio::test]
async fn help_lists_every_variable() {
    let binaries = binaries();
    for (program, variables) in [
        (
            &binaries.poller,
            &["GHIBLI_API", "CACHE_URL", "POLL_SCHEDULE", "ADMIN_ADDR"][..],
        ),
        (
            &binaries.server,
            &[
                "CACHE_URL",
                "LISTEN_ADDR",
                "ADMIN_ADDR",
                "PUBLIC_URL",
                "LINKS",
            ][..],
        ),
    ] {
        let mut help = run(program, &["--help"], &[]);
        assert!(help.wait().await.success());
        let text = help.stdout().join("\n");
        for variable in [variables, &["LOG_FORMAT", "LOG_LEVEL"]].concat() {
            assert!(
                text.contains(&format!("\n  {variable} ")),
                "{variable} in\n{text}"
            );
        }
    }
}

#[tokio::test]
async fn one_start_reports_every_mistake_and_no_secret() {
    let wrong = [
        ("CACHE_URL", "memcached://user:s3cret@cache"),
        ("ADMIN_ADDR", "nine thousand"),
        ("LOG_FORMAT", "xml"),
    ];
    let binaries = binaries();
    for (program, more) in [
        (
            &binaries.poller,
            [
                ("GHIBLI_API", "ghibli.example"),
                ("POLL_SCHEDULE", "hourly"),
            ],
        ),
        (
            &binaries.server,
            [("LINKS", "nowhere"), ("PUBLIC_URL", "mirror")],
        ),
    ] {
        let mut process = run(program, &[], &[&wrong[..], &more[..]].concat());
        assert_eq!(process.wait().await.code(), Some(64));
        let stderr = process.stderr().join("\n");
        for (variable, _) in wrong.iter().chain(&more) {
            assert_eq!(
                stderr.matches(&format!("  {variable}: ")).count(),
                1,
                "{variable} in {stderr}"
            );
        }
        assert!(!stderr.contains("s3cret"), "{stderr}");
    }
}

#[tokio::test]
async fn sync_prints_what_it_did_and_its_exit_code_says_whether_it_succeeded() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let sync = async || {
        let (url, poller) = (upstream.url(), binaries().poller);
        let mut process = run(
            &poller,
            &["sync"],
            &[("GHIBLI_API", &url), ("CACHE_URL", &cache)],
        );
        let code = process.wait().await.code().unwrap();
        (code, process.stdout().join("\n"))
    };
    let (code, output) = sync().await;
    assert_eq!(code, 0);
    assert!(
        output.starts_with("films         22 records   baseline\n"),
        "{output}"
    );
    assert!(
        output
            .lines()
            .last()
            .unwrap()
            .starts_with("committed: generation "),
        "{output}"
    );

    let (code, output) = sync().await;
    assert_eq!(code, 0);
    assert!(
        output.starts_with("films         22 records   not modified\n"),
        "{output}"
    );

    upstream.release("The Boy and the Heron");
    let (code, output) = sync().await;
    assert_eq!(code, 0);
    assert!(
        output.contains("changed: 1 appended, 0 updated, 0 withdrawn, 0 returned"),
        "{output}"
    );
    assert!(
        output.contains("\nnew release: The Boy and the Heron\n"),
        "{output}"
    );

    upstream.go_down();
    let (code, output) = sync().await;
    assert_eq!(code, 1);
    assert!(output.contains("failed: unreachable"), "{output}");
}

#[tokio::test]
async fn credentials_in_urls_are_never_logged() {
    let upstream = Upstream::start(catalogue());
    let api = upstream.url().replace("http://", "http://visitor:s3cret@");
    let cache = "redis://poller:s3cret@127.0.0.1:1";
    let poller = Poller::new(&api, cache)
        .env("LOG_LEVEL", "trace")
        .start()
        .await;
    poller
        .process
        .wait_for_log("cache_unreachable", |_| true)
        .await;
    let server = Server::new(cache).env("LOG_LEVEL", "trace").start().await;
    server
        .process
        .wait_for_log("cache_unreachable", |_| true)
        .await;
    for process in [&poller.process, &server.process] {
        let lines = process.stderr().concat();
        assert!(!lines.contains("s3cret"), "{lines}");
    }
}

#[tokio::test]
async fn a_server_without_data_says_so_and_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let server = Server::new(&cache).start().await;
    assert_eq!(
        get(&format!("{}/livez", server.admin_url())).await.status,
        200
    );
    for url in [
        format!("{}/readyz", server.admin_url()),
        format!("{}/films", server.url()),
    ] {
        let answer = get(&url).await;
        assert_eq!(answer.status, 503, "{url}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{url}"
        );
    }
    assert!(
        get(&format!("{}/films", server.url()))
            .await
            .header("retry-after")
            .is_some()
    );
    let health = |address: &str| run(&binaries().server, &["health"], &[("ADMIN_ADDR", address)]);
    assert_eq!(health(&server.admin_address).wait().await.code(), Some(1));

    let poller = Poller::new("http://127.0.0.1:1", &cache).start().await;
    poller
        .process
        .wait_for_log("sync_completed", |_| true)
        .await;
    server.loaded().await;
    assert_eq!(health(&server.admin_address).wait().await.code(), Some(0));

    // Done when 1, the part without `cargo xtask up`: the built-in catalogue, and its mark.
    let page = get(&format!("{}/movies", server.url())).await.text();
    assert!(page.contains("22 films") && page.contains("This is the built-in catalogue"));
    assert!(page.contains("<bdi>Pazu</bdi> (age 13) with Black eyes, Brown hair"));
}

#[tokio::test]
async fn methods_other_than_reading_do_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::new(&format!("file:{}", directory.path().display()))
        .start()
        .await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        for path in ["/films", "/films/x", "/nope", "/"] {
            let method = method.parse().unwrap();
            let answer = request(method, &format!("{}{path}", server.url()), &[]).await;
            assert_eq!(answer.status, 405, "{path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
    let answer = request(
        "OPTIONS".parse().unwrap(),
        &format!("{}/films", server.url()),
        &[],
    )
    .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn both_stop_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    for signal in [Signal::Term, Signal::Int] {
        let mut poller = Poller::new(&upstream.url(), &cache).start().await;
        let mut server = Server::new(&cache).start().await;
        poller
            .process
            .wait_for_log("sync_completed", |_| true)
            .await;
        for process in [&mut poller.process, &mut server.process] {
            process.signal(signal);
            assert!(process.wait().await.success());
        }
    }
}

#[tokio::test]
async fn the_error_for_an_address_in_use_names_the_variable_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut server = run(
        &binaries().server,
        &[],
        &[
            ("LISTEN_ADDR", &address),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("CACHE_URL", "file:unused"),
        ],
    );
    assert_eq!(server.wait().await.code(), Some(1));
    let stderr = server.stderr().join("\n");
    assert!(
        stderr.contains(&format!("cannot listen on {address}")),
        "{stderr}"
    );
    assert!(stderr.contains("LISTEN_ADDR sets the address"), "{stderr}");
}
