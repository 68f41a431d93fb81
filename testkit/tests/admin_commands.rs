//! Decisions that only a person makes: `ghibli-poller accept` and `ghibli-poller prune`. A running
//! poller receives the command; without one, the command does the work itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::json;
use testkit::client::{get, raw, request};
use testkit::process::{Poller, Process, Server, binaries};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};

const EVERY_SECOND: &str = "* * * * * *";

/// The start of the first film's original id.
const OLD: &str = r#""id": "2baf70d1-"#;

/// Runs a command of the poller, and returns its exit status and its output.
async fn run(command: &str, environment: &[(&str, String)]) -> (Option<i32>, String) {
    let arguments: Vec<_> = command.split(' ').collect();
    let mut process = Process::spawn(command, &binaries().poller, &arguments, environment);
    let code = process.wait().await.code();
    (
        code,
        [process.stdout(), process.stderr()].concat().join("\n"),
    )
}

/// Gives all films new ids: the upstream then lists the same films under other names.
fn renumber(upstream: &Upstream) {
    upstream.edit(|all| {
        for (number, film) in all["films"].as_array_mut().unwrap().iter_mut().enumerate() {
            film["id"] = json!(format!("new-{number}"));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_a_running_poller_accepts_on_command() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .start()
        .await;
    let log = &poller.process;
    poller.synced("committed").await;
    let reader = Server::new(&cache).start().await;
    let films = async || get(&format!("{}/films", reader.url())).await.text();
    reader.shows("2baf70d1").await;

    renumber(&upstream);
    let suspicious = |line: &serde_json::Value| {
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("22 of 22 known records are gone"))
    };
    log.wait_for_log("answer_rejected", suspicious).await;
    // Each cycle gives the reason; the warning comes once.
    for _ in 0..2 {
        log.wait_for_log_since(log.mark(), "sync_completed", suspicious)
            .await;
    }
    let logs = log.logs();
    let warnings = logs
        .iter()
        .filter(|line| line["event"] == "answer_rejected");
    assert_eq!(warnings.count(), 1, "{logs:?}");
    assert!(!films().await.contains("new-0"));

    let environment = [
        ("ADMIN_ADDR", poller.admin_address.clone()),
        ("CACHE_URL", cache.clone()),
    ];
    let (code, output) = run("accept --yes", &environment).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("films         22 records   baseline"),
        "{output}"
    );
    eventually("the new ids", TIME_LIMIT, async || {
        let films = films().await;
        films.contains("new-21") && !films.contains(OLD)
    })
    .await;
    log.wait_for_log("answer_accepted", |_| true).await;
    let released = log
        .logs()
        .iter()
        .filter(|line| line["event"] == "release_appended")
        .count();
    assert_eq!(
        released, 0,
        "the poller announces none of the 22 known films"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_6_a_running_poller_prunes_on_command() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &cache)
        .schedule(EVERY_SECOND)
        .start()
        .await;
    poller.synced("committed").await;
    let id = catalogue()["films"][0]["id"].as_str().unwrap().to_owned();
    upstream.withdraw("films", &id);
    let withdrawn = "record_withdrawn";
    poller
        .process
        .wait_for_log(withdrawn, |line| line["id"] == id)
        .await;

    let environment = [
        ("ADMIN_ADDR", poller.admin_address.clone()),
        ("CACHE_URL", cache.clone()),
    ];
    let (code, output) = run("prune --yes", &environment).await;
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(
        output,
        format!("pruned from films: {id}\n1 withdrawn records removed")
    );
    let reader = Server::new(&cache).start().await;
    let films = format!("{}/films", reader.url());
    eventually("21 films", TIME_LIMIT, async || {
        let films = get(&films).await;
        films.status == 200 && films.json().as_array().unwrap().len() == 21
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_running_poller_the_commands_do_the_work_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let upstream = Upstream::start(catalogue());
    let environment = [
        ("GHIBLI_API", upstream.url()),
        ("CACHE_URL", cache),
        ("ADMIN_ADDR", format!("127.0.0.1:{}", testkit::free_port())),
    ];
    let (code, output) = run("prune --yes", &environment).await;
    assert_eq!(code, Some(1));
    assert!(output.contains("nothing has been synced yet"), "{output}");
    assert_eq!(run("sync", &environment).await.0, Some(0));
    let (code, output) = run("prune --yes", &environment).await;
    assert_eq!(
        (code, output.as_str()),
        (Some(0), "0 withdrawn records removed")
    );

    renumber(&upstream);
    let (code, output) = run("sync", &environment).await;
    assert_eq!(code, Some(1));
    assert!(
        output.contains("rejected: suspicious: 22 of 22"),
        "{output}"
    );
    let (code, output) = run("accept --yes", &environment).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("films         22 records   baseline"),
        "{output}"
    );
}

#[tokio::test]
async fn admin_commands_from_anywhere_but_the_command_line_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let poller = Poller::new("http://127.0.0.1:1", &cache).start().await;
    for path in ["/accept", "/prune"] {
        let url = format!("{}{path}", poller.admin_url());
        let from_a_page = request(
            "POST".parse().unwrap(),
            &url,
            &[("origin", "http://x.example")],
        );
        assert_eq!(from_a_page.await.status, 403);
    }
    // In DNS rebinding, a page's host name resolves to this address. The page then has the same
    // origin, and may send any header.
    let port = poller.admin_address.rsplit(':').next().unwrap();
    let (name, mark) = (format!("rebind.example:{port}"), ("x-ghibli-order", "1"));
    let origin = format!("http://{name}");
    for path in ["/accept", "/prune", "/dance"] {
        let url = format!("{}{path}", poller.admin_url());
        for headers in [
            &[mark, ("host", &name), ("origin", &origin)][..],
            &[mark, ("host", &name)],
            &[mark, ("host", "")],
            &[mark, ("origin", &poller.admin_url())],
            &[mark, ("origin", "null")],
            &[mark, ("sec-fetch-site", "same-origin")],
            &[mark, ("host", &poller.admin_address), ("host", &name)],
        ] {
            let answer = request("POST".parse().unwrap(), &url, headers).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}");
            let kind = answer.header("content-type");
            assert_eq!(kind, Some("application/problem+json"));
            assert!(answer.json()["detail"].is_string(), "says why");
        }
        let old = format!("POST {path} HTTP/1.0\r\nX-Ghibli-Order: 1\r\n\r\n");
        let absolute = format!(
            "POST {origin}{path} HTTP/1.1\r\nHost: {}\r\nX-Ghibli-Order: 1\r\n\
             Connection: close\r\n\r\n",
            poller.admin_address
        );
        for sent in [old, absolute] {
            let answer = raw(&poller.admin_address, sent.as_bytes(), TIME_LIMIT).await;
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains(" 403 Forbidden\r\n"), "{sent:?}: {answer}");
        }
    }
    // Health is not secret, and probes may use a host name.
    for headers in [
        &[("host", "poller.internal:9091")][..],
        &[("host", &name), ("origin", &origin)],
    ] {
        let url = format!("{}/livez", poller.admin_url());
        let answer = request("GET".parse().unwrap(), &url, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
    let unknown = format!("{}/dance", poller.admin_url());
    let header = [mark];
    assert_eq!(
        request("POST".parse().unwrap(), &unknown, &header)
            .await
            .status,
        409
    );
    let server = Server::new(&cache).start().await;
    let url = format!("{}/accept", server.admin_url());
    assert_eq!(
        request("POST".parse().unwrap(), &url, &header).await.status,
        405
    );
}
