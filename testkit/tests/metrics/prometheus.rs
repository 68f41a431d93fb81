//! A real Prometheus that scrapes real processes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::client::try_get;
use testkit::free_port;
use testkit::process::Process;

const CONFIGURATION: &str = include_str!("../../../deploy/prometheus/prometheus.yml");

/// A running Prometheus. Dropping it ends it.
pub(crate) struct Prometheus {
    url: String,
    directory: TempDir,
    _process: Process,
}

impl Prometheus {
    /// Starts it with the jobs of `deploy/prometheus/prometheus.yml` and these rules. It scrapes and
    /// evaluates at this interval.
    pub(crate) fn start(rules: &str, interval: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        std::fs::write(place.join("alerts.yml"), rules).unwrap();
        let mut configuration = format!(
            "global: {{scrape_interval: {interval}, scrape_timeout: {interval}, \
             evaluation_interval: {interval}}}\nrule_files: [alerts.yml]\nscrape_configs:\n"
        );
        for job in CONFIGURATION.split("- job_name: ").skip(1) {
            let job = job.lines().next().unwrap();
            std::fs::write(place.join(format!("{job}.json")), "[]").unwrap();
            let targets =
                format!("file_sd_configs: [{{files: [{job}.json], refresh_interval: 1s}}]");
            writeln!(configuration, "  - {{job_name: {job}, {targets}}}").unwrap();
        }
        let file = place.join("prometheus.yml");
        std::fs::write(&file, configuration).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}/data", place.display()),
            format!("--web.listen-address={address}"),
        ];
        Self {
            url: format!("http://{address}"),
            _process: Process::spawn("prometheus", "prometheus", &arguments, &[]),
            directory,
        }
    }

    /// From now on it scrapes these, pairs of a job and an address.
    pub(crate) fn scrape(&self, targets: &[(&str, &str)]) {
        let mut jobs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (job, address) in targets {
            jobs.entry(job).or_default().push(address);
        }
        for (job, addresses) in jobs {
            let list = json!([{"targets": addresses}]).to_string();
            // Prometheus must not read half a file.
            let new = self.directory.path().join("new");
            std::fs::write(&new, list).unwrap();
            std::fs::rename(new, self.directory.path().join(format!("{job}.json"))).unwrap();
        }
    }

    /// The `data` of an answer of its API; `None` while it has no answer.
    pub(crate) async fn ask(&self, path: &str) -> Option<Value> {
        let answer = try_get(&format!("{}/api/v1/{path}", self.url)).await.ok()?;
        // A starting Prometheus answers 503. It answers 400 to a query that it does not understand.
        assert_ne!(answer.status, 400, "{}", answer.text());
        (answer.status == 200).then(|| answer.json()["data"].take())
    }

    /// Whether it has scraped this many targets.
    pub(crate) async fn has_scraped(&self, targets: usize) -> bool {
        let Some(data) = self.ask("targets?state=active").await else {
            return false;
        };
        let active = data["activeTargets"].as_array().unwrap();
        active.len() == targets && active.iter().all(|target| target["health"] == "up")
    }

    /// The names of the alerts that fire now.
    pub(crate) async fn firing(&self) -> Vec<String> {
        let Some(data) = self.ask("alerts").await else {
            return Vec::new();
        };
        let alerts = data["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect()
    }
}
