//! The dashboard of `deploy/grafana`, and the alerts once more: a real Prometheus scrapes real
//! processes, and has an answer to every query.

use std::fmt::Write as _;
use std::path::Path;

use chrono::Utc;
use serde_json::Value;
use tempfile::TempDir;
use testkit::client::{get, try_get};
use testkit::edge::Edge;
use testkit::mirror::Mirror;
use testkit::process::{Poller, Process};
use testkit::{PATIENCE, catalogue, eventually, free_port, skip};

use crate::{FOLDER, has};

const CONFIGURATION: &str = include_str!("../../../deploy/prometheus/prometheus.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/mirror.json");
const DATA_SOURCE: &str = include_str!("../../../deploy/grafana/datasource.yml");

/// A query of a panel.
struct Query {
    panel: String,
    expression: String,
    /// Whether the panel shows the current value and no graph.
    is_instant: bool,
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

fn queries() -> Vec<Query> {
    let panels = panels();
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| Query {
            panel: panel["title"].as_str().unwrap().to_owned(),
            // Grafana makes it four times the interval of the scrapes.
            expression: target["expr"]
                .as_str()
                .unwrap()
                .replace("$__rate_interval", "4s"),
            is_instant: target["instant"] == true,
        })
    });
    targets.collect()
}

/// A Prometheus that scrapes every second. Dropping it ends it.
struct Prometheus {
    url: String,
    _directory: TempDir,
    _process: Process,
}

impl Prometheus {
    /// Starts it with the jobs of `deploy/prometheus/prometheus.yml`, each with the address that
    /// `addresses` has for it.
    fn start(addresses: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let alerts = Path::new(FOLDER).join("prometheus/alerts.yml");
        let mut configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\nscrape_configs:\n",
            alerts.display()
        );
        for job in CONFIGURATION.split("- job_name: ").skip(1) {
            let job = job.lines().next().unwrap();
            let address = addresses.iter().find(|(name, _)| *name == job);
            if let Some((_, address)) = address {
                let targets = format!("static_configs: [{{targets: [\"{address}\"]}}]");
                writeln!(configuration, "  - {{job_name: {job}, {targets}}}").unwrap();
            }
        }
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, configuration).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}/data", directory.path().display()),
            format!("--web.listen-address={address}"),
        ];
        Self {
            url: format!("http://{address}"),
            _process: Process::spawn("prometheus", "prometheus", &arguments, &[]),
            _directory: directory,
        }
    }

    /// The `data` of an answer of its API; `None` while it has no answer.
    async fn ask(&self, path: &str) -> Option<Value> {
        let answer = try_get(&format!("{}/api/v1/{path}", self.url)).await.ok()?;
        // A starting Prometheus answers 503. It answers 400 to a query that it does not understand.
        assert_ne!(answer.status, 400, "{}", answer.text());
        (answer.status == 200).then(|| answer.json()["data"].take())
    }

    /// Whether a query has a number for an answer.
    async fn knows(&self, query: &Query) -> bool {
        let expression = encoded(&query.expression);
        let path = if query.is_instant {
            format!("query?query={expression}")
        } else {
            let now = Utc::now().timestamp();
            let since = now - 30;
            format!("query_range?query={expression}&start={since}&end={now}&step=1")
        };
        let Some(found) = self.ask(&path).await else {
            return false;
        };
        let series = found["result"].as_array().unwrap().iter();
        let mut values = series.flat_map(|series| match series["values"].as_array() {
            Some(values) => values.clone(),
            None => vec![series["value"].clone()],
        });
        values.any(|value| value[1].as_str().is_some_and(|it| it != "NaN"))
    }
}

/// Encodes a text for the query of a URL.
fn encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_has_data() {
    if !has("prometheus") {
        return;
    }
    let mirror = Mirror::empty(catalogue());
    let poller = Poller::new(&mirror.upstream.url(), &mirror.cache_url());
    let poller = poller.schedule("* * * * * *").start().await;
    let server = mirror.server(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let url = server.url();
    let edge = Edge::start(directory.path(), std::iter::once(&*url)).await;
    let mut addresses = vec![
        ("ghibli-poller", poller.admin_address.as_str()),
        ("ghibli-server", server.admin_address.as_str()),
    ];
    match &edge {
        Some(edge) => addresses.push(("ghibli-edge", &edge.metrics_address)),
        None => skip("metrics", "traefik is missing"),
    }
    let prometheus = Prometheus::start(&addresses);

    let clients_url = edge.as_ref().map_or(&url, |edge| &edge.url);
    let films = format!("{clients_url}/films");
    let mut queries = queries();
    queries.retain(|query| edge.is_some() || !query.expression.contains("traefik_"));
    assert!(queries.len() > 30, "{}", queries.len());
    for query in &queries {
        let what = format!("{}: {}", query.panel, query.expression);
        eventually(&what, PATIENCE, async || {
            get(&films).await;
            prometheus.knows(query).await
        })
        .await;
    }
    // The check must be able to fail.
    let wrong = Query {
        panel: String::new(),
        expression: "ghibli_request_total > 0".to_owned(),
        is_instant: false,
    };
    assert!(!prometheus.knows(&wrong).await);

    // All rules are evaluated without an error, and none fires for a mirror that is well.
    let rules = eventually("the rules evaluated", PATIENCE, async || {
        let rules = prometheus.ask("rules").await?["groups"][0]["rules"].take();
        let all = rules.as_array()?;
        all.iter()
            .all(|rule| rule["health"] == "ok")
            .then(|| all.clone())
    })
    .await;
    for rule in rules {
        let is_quiet = rule["state"] == "inactive" || edge.is_none();
        assert!(is_quiet, "{rule}");
    }
}

#[test]
fn every_panel_uses_the_data_source_that_is_provisioned() {
    let mut titles = Vec::new();
    for panel in panels() {
        let title = panel["title"].as_str().unwrap().to_owned();
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().into_iter().flatten();
        for source in targets.chain([&panel]) {
            assert_eq!(source["datasource"]["uid"], "prometheus", "{title}");
        }
        assert!(!titles.contains(&title), "two panels are called {title}");
        titles.push(title);
    }
    assert!(DATA_SOURCE.contains("    uid: prometheus\n"));
}
