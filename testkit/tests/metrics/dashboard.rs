//! The dashboard of `deploy/grafana`, and the alerts once more: a real Prometheus scrapes real
//! processes, and has an answer to every query.

use chrono::Utc;
use serde_json::Value;
use testkit::client::get;
use testkit::edge::Edge;
use testkit::mirror::Mirror;
use testkit::process::Poller;
use testkit::{TIME_LIMIT, catalogue, eventually, skip};

use crate::alerts::RULES;
use crate::has;
use crate::prometheus::Prometheus;

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

/// Whether a query has a number for an answer.
async fn knows(prometheus: &Prometheus, query: &Query) -> bool {
    let expression = encoded(&query.expression);
    let path = if query.is_instant {
        format!("query?query={expression}")
    } else {
        let now = Utc::now().timestamp();
        let since = now - 30;
        format!("query_range?query={expression}&start={since}&end={now}&step=1")
    };
    let Some(found) = prometheus.ask(&path).await else {
        return false;
    };
    let series = found["result"].as_array().unwrap().iter();
    let mut values = series.flat_map(|series| match series["values"].as_array() {
        Some(values) => values.clone(),
        None => vec![series["value"].clone()],
    });
    values.any(|value| value[1].as_str().is_some_and(|it| it != "NaN"))
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
    let prometheus = Prometheus::start(RULES, "1s");
    prometheus.scrape(&addresses);

    let clients_url = edge.as_ref().map_or(&url, |edge| &edge.url);
    let films = format!("{clients_url}/films");
    let mut queries = queries();
    queries.retain(|query| edge.is_some() || !query.expression.contains("traefik_"));
    assert!(queries.len() > 30, "{}", queries.len());
    for query in &queries {
        let what = format!("{}: {}", query.panel, query.expression);
        eventually(&what, TIME_LIMIT, async || {
            get(&films).await;
            knows(&prometheus, query).await
        })
        .await;
    }
    // The check must be able to fail.
    let wrong = Query {
        panel: String::new(),
        expression: "ghibli_request_total > 0".to_owned(),
        is_instant: false,
    };
    assert!(!knows(&prometheus, &wrong).await);

    // All rules are evaluated without an error, and none fires for a mirror that is well.
    let rules = eventually("the rules evaluated", TIME_LIMIT, async || {
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
