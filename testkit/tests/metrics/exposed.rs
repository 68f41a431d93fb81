//! What both programs expose, compared with the table in `docs/operations.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use http::Method;
use testkit::client::{get, request};
use testkit::mirror::Mirror;
use testkit::process::{Poller, Server};
use testkit::{TIME_LIMIT, catalogue, eventually};

use crate::has;

pub(crate) const DOCUMENT: &str = include_str!("../../../docs/operations.md");

/// Type and labels of each metric.
pub(crate) type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// The metrics of a page in the text format.
fn exposed(page: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in page.lines() {
        if let Some(line) = line.strip_prefix("# TYPE ") {
            let (name, kind) = line.split_once(' ').unwrap();
            metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            // The series of a histogram have suffixes.
            let own = metrics.iter_mut().find(|(metric, (kind, _))| {
                let rest = name.strip_prefix(metric.as_str());
                rest == Some("") || kind == "histogram" && rest.is_some()
            });
            let labels = labels.trim_end_matches('}').split("\",");
            let names = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            let (_, (_, known)) = own.expect(line);
            known.extend(names.filter(|name| name != "le"));
        }
    }
    metrics
}

/// The metrics that the table says this program has.
pub(crate) fn documented(program: &str) -> Metrics {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = |row: &'static str| row.trim_end_matches('|').split('|').map(str::trim);
    let rows = rows.map(|row| cells(row).collect::<Vec<_>>());
    rows.filter(|cells| cells.len() == 5 && [program, "both"].contains(&cells[3]))
        .map(|cells| {
            let labels = cells[2].split(',').map(|it| it.trim().trim_matches('`'));
            let labels = labels.filter(|it| !it.is_empty()).map(str::to_owned);
            let name = cells[0].trim_matches('`').to_owned();
            (name, (cells[1].to_owned(), labels.collect()))
        })
        .collect()
}

/// What `promtool check metrics` says of a page; nothing, if the page is as it should be.
fn lint(page: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!("{}{}", output.status, String::from_utf8_lossy(&said))
}

/// The value of a series in a page, without its fraction.
fn value(page: &str, series: &str) -> u64 {
    let found = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("no {series} in {page}"));
    let whole = found.split_once('.').map_or(found, |(whole, _)| whole);
    whole.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_expose_what_the_table_says_and_promtool_finds_no_fault() {
    let mirror = Mirror::of(catalogue()).await;
    let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url());
    let poller = poller.start().await;
    let server = Server::new(&mirror.cache_url()).start().await;
    server.loaded().await;
    for (program, url) in [
        ("poller", poller.admin_url()),
        ("server", server.admin_url()),
    ] {
        let answer = get(&format!("{url}/metrics")).await;
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let page = answer.text();
        assert_eq!(exposed(&page), documented(program), "{program}");
        if has("promtool") {
            assert_eq!(lint(&page), "exit status: 0", "{program}");
        }

        let wanted = [("accept", "application/openmetrics-text;version=1.0")];
        let answer = request(Method::GET, &format!("{url}/metrics"), &wanted).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        );
        assert!(answer.text().ends_with("# EOF\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_counts_what_it_answers() {
    let mirror = Mirror::of(catalogue()).await;
    let server = Server::new(&mirror.cache_url()).start().await;
    server.loaded().await;
    let film = "/films/2baf70d1-42bb-4437-b551-e5fed5a87abe";
    let mut bytes = 0;
    for path in [film, film, "/films", "/films/none", "/none?x=1", "/movies"] {
        bytes += get(&format!("{}{path}", server.url())).await.body.len();
    }
    let films = format!("{}/films", server.url());
    request(Method::HEAD, &films, &[]).await;
    request(Method::POST, &films, &[]).await;
    let page = get(&format!("{}/metrics", server.admin_url())).await.text();
    for (route, status, count) in [
        ("/{collection}/{id}", 200, 2),
        ("/{collection}/{id}", 404, 1),
        ("/{collection}", 200, 2),
        ("/{collection}", 405, 1),
        ("other", 404, 1),
        ("/movies", 200, 1),
        ("/docs", 200, 0),
    ] {
        let series = format!("ghibli_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        assert_eq!(value(&page, &series), count, "{series}");
    }
    assert_eq!(value(&page, "ghibli_request_duration_seconds_count"), 8);
    // The answer to POST has a body too.
    let sent = value(&page, "ghibli_sent_bytes_total");
    let expected = u64::try_from(bytes).unwrap();
    assert!((expected + 1..expected + 500).contains(&sent), "{sent}");
    assert_eq!(value(&page, "ghibli_snapshot_loads_total"), 1);
    assert_eq!(value(&page, "ghibli_cache_up"), 1);
    assert_eq!(value(&page, "ghibli_ready"), 1);
    let confirmed = value(&page, "ghibli_last_confirmed_timestamp_seconds");
    assert!(confirmed > 1_000_000_000, "{confirmed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poller_counts_what_it_syncs() {
    let mirror = Mirror::empty(catalogue());
    let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url()).schedule("* * * * * *");
    let poller = poller.start().await;
    poller.synced("committed").await;
    let page = async || get(&format!("{}/metrics", poller.admin_url())).await.text();
    eventually("the first sync", TIME_LIMIT, async || {
        value(&page().await, "ghibli_syncs_total{outcome=\"committed\"}") == 1
    })
    .await;
    let first = page().await;
    let films = "ghibli_records{collection=\"films\",state=\"current\"}";
    assert_eq!(value(&first, films), 22);
    assert_eq!(value(&first, "ghibli_lease_held"), 1);
    assert!(value(&first, "ghibli_next_attempt_timestamp_seconds") > 1_000_000_000);
    assert_eq!(value(&first, "ghibli_consecutive_failures"), 0);

    mirror.upstream.edit(|all| {
        let films = all["films"].as_array_mut().unwrap();
        let mut film = films[0].clone();
        film["id"] = "new".into();
        film["subtitle"] = "A field that no film had".into();
        films.push(film);
    });
    eventually("the release", TIME_LIMIT, async || {
        let page = page().await;
        let drifted = "ghibli_shape_drifts_total{collection=\"films\",change=\"appeared\"}";
        let appended = "ghibli_changes_total{collection=\"films\",kind=\"appended\"}";
        value(&page, "ghibli_releases_total") == 1
            && value(&page, appended) == 1
            && value(&page, drifted) == 1
            && value(&page, films) == 23
    })
    .await;

    mirror
        .upstream
        .edit(|all| all["films"] = serde_json::json!([]));
    eventually("a rejection", TIME_LIMIT, async || {
        let page = page().await;
        value(&page, "ghibli_rejections_total{collection=\"films\"}") >= 1
            && value(&page, "ghibli_consecutive_failures") >= 1
            && value(&page, "ghibli_syncs_total{outcome=\"partial\"}") >= 1
    })
    .await;
}
