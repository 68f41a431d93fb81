//! A whole mirror that Prometheus watches: what a fault breaks, and what mends it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use tempfile::TempDir;
use testkit::client::{request, try_get};
use testkit::edge::Edge;
use testkit::process::{Poller, Process, RunningPoller, RunningServer, Server, Signal, binaries};
use testkit::proxy::{Network, Proxy};
use testkit::redis::Redis;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, catalogue, eventually, free_port};

use super::table::Trouble;
use crate::prometheus::Prometheus;

/// A process under its name, such as `poller` or `reader 2`.
pub(super) struct Member {
    pub(super) process: Process,
    pub(super) admin_address: String,
    /// Where clients reach it; only a reader.
    address: Option<String>,
}

pub(super) struct Stack {
    pub(super) upstream: Upstream,
    pub(super) redis: Redis,
    pub(super) members: BTreeMap<&'static str, Member>,
    pub(super) prometheus: Prometheus,
    /// The way of the reader to Redis.
    network: Proxy,
    edge: Option<Edge>,
    edge_metrics: Option<String>,
    directory: TempDir,
}

impl Stack {
    /// A mirror that is well, with the parts that this trouble needs.
    pub(super) async fn start(trouble: Trouble, rules: &str) -> Self {
        let (redis, upstream) = (Redis::start().await, Upstream::start(catalogue()));
        let mut stack = Self {
            network: Proxy::start(redis.port()).await,
            prometheus: Prometheus::start(rules, "250ms"),
            directory: tempfile::tempdir().unwrap(),
            members: BTreeMap::new(),
            edge: None,
            edge_metrics: None,
            upstream,
            redis,
        };
        let mut poller = stack.poller(&stack.redis.url());
        if trouble == Trouble::LeaderFreezes {
            // A poller that freezes within a sync says `lease_fenced` instead.
            poller = poller.schedule("*/10 * * * * *");
        }
        match trouble {
            Trouble::ColdStart => {}
            Trouble::LogFull => stack.add_mute_poller().await,
            _ => {
                let poller = poller.start().await;
                poller.synced("committed").await;
                stack.add("poller", poller);
            }
        }
        if matches!(trouble, Trouble::LeaderDead | Trouble::LeaderFreezes) {
            let standby = poller.start().await;
            standby.process.wait_for_log("standby", |_| true).await;
            stack.add("standby", standby);
        }
        let through_network = format!("redis://127.0.0.1:{}", stack.network.port());
        stack.add_reader("reader", &through_network).await;
        if trouble == Trouble::ReaderDead {
            let direct = stack.redis.url();
            stack.add_reader("reader 2", &direct).await;
        }
        if trouble != Trouble::ColdStart {
            stack.members["reader"].loaded().await;
        }
        if trouble.needs_edge() {
            let readers = stack.members.values().filter_map(Member::url);
            let readers: Vec<_> = readers.collect();
            let readers = readers.iter().map(String::as_str);
            let edge = Edge::start(stack.directory.path(), readers).await.unwrap();
            stack.edge_metrics = Some(edge.metrics_address.clone());
            stack.edge = Some(edge);
        }
        stack.watch();
        let targets = stack.members.len() + usize::from(stack.edge.is_some());
        let all = async || stack.prometheus.has_scraped(targets).await;
        eventually("the first scrapes", TIME_LIMIT, all).await;
        stack
    }

    fn poller(&self, cache: &str) -> Poller {
        Poller::new(&self.upstream.url(), cache)
            .schedule("* * * * * *")
            .env("UPSTREAM_TIMEOUT", "300ms")
    }

    fn add(&mut self, name: &'static str, poller: RunningPoller) {
        let member = Member {
            process: poller.process,
            admin_address: poller.admin_address,
            address: None,
        };
        self.members.insert(name, member);
    }

    async fn add_reader(&mut self, name: &'static str, cache: &str) {
        let RunningServer {
            process,
            address,
            admin_address,
        } = Server::new(cache).start().await;
        let member = Member {
            process,
            admin_address,
            address: Some(address),
        };
        self.members.insert(name, member);
    }

    /// A poller whose log has no room. Nothing can be read of it, not even its port.
    async fn add_mute_poller(&mut self) {
        let admin_address = format!("127.0.0.1:{}", free_port());
        let environment = [
            ("GHIBLI_API", self.upstream.url()),
            ("CACHE_URL", self.redis.url()),
            ("POLL_SCHEDULE", "* * * * * *".to_owned()),
            ("ADMIN_ADDR", admin_address.clone()),
        ];
        let program = binaries().poller.display().to_string();
        let arguments = ["-c", "exec \"$0\" 2>/dev/full", &program];
        let process = Process::spawn("poller", "sh", &arguments, &environment);
        let ready = format!("http://{admin_address}/readyz");
        let is_ready = async || try_get(&ready).await.is_ok_and(|it| it.status == 200);
        eventually("the poller without a log", TIME_LIMIT, is_ready).await;
        let member = Member {
            process,
            admin_address,
            address: None,
        };
        self.members.insert("poller", member);
    }

    /// Prometheus scrapes all that there are, also those that have died.
    fn watch(&self) {
        let job = |member: &Member| match member.address {
            Some(_) => "ghibli-server",
            None => "ghibli-poller",
        };
        let members = self.members.values();
        let mut targets: Vec<_> = members.map(|it| (job(it), &*it.admin_address)).collect();
        targets.extend(self.edge_metrics.iter().map(|it| ("ghibli-edge", &**it)));
        self.prometheus.scrape(&targets);
    }

    pub(super) async fn inject(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::UpstreamDown => self.upstream.go_down(),
            Trouble::UpstreamSlow => self.upstream.misbehave(Fault::Stall),
            Trouble::UpstreamFails => self.upstream.misbehave(Fault::Status(503)),
            Trouble::UpstreamLimits => {
                let retry_after = Duration::from_secs(5);
                self.upstream.misbehave(Fault::RateLimited { retry_after });
            }
            Trouble::Garbage => self.upstream.misbehave(Fault::Html),
            Trouble::Nothing => self.upstream.misbehave_on("films", Fault::EmptyList),
            Trouble::HalfGone => {
                let films = catalogue()["films"].as_array().unwrap()[..11].to_vec();
                self.upstream.replace("films", films);
            }
            Trouble::Drift => {
                for film in catalogue()["films"].as_array().unwrap() {
                    let id = film["id"].as_str().unwrap();
                    self.upstream.change("films", id, "tagline", "new");
                }
            }
            Trouble::CacheDown => self.redis.kill().await,
            Trouble::CacheFlushed => {
                self.redis.cli(&["FLUSHALL"]).await;
            }
            Trouble::LogFull => {}
            Trouble::PollerDead | Trouble::LeaderDead => self.kill("poller").await,
            Trouble::LeaderFreezes => {
                let leader = &self.members["poller"].process;
                let mark = leader.mark();
                leader
                    .wait_for_log_since(mark, "sync_completed", |_| true)
                    .await;
                leader.signal(Signal::Stop);
            }
            Trouble::TwoCaches => {
                let other = format!("file:{}/cache", self.directory.path().display());
                let poller = self.poller(&other).start().await;
                self.add("poller 2", poller);
                self.watch();
            }
            Trouble::ReaderDead => self.kill("reader 2").await,
            Trouble::ReadersDead => self.kill("reader").await,
            Trouble::EdgeDead => self.edge = None,
            Trouble::ColdStart => {
                self.upstream.go_down();
                let poller = self.poller(&self.redis.url()).start().await;
                self.add("poller", poller);
                self.watch();
            }
            Trouble::ReaderBehind => {
                self.network.set(Network::Stalls);
                for title in ["The Boy and the Heron", "Earwig and the Witch II"] {
                    self.upstream.release(title);
                    let is_there = |line: &serde_json::Value| line["title"] == title;
                    let log = &self.members["poller"].process;
                    log.wait_for_log("release_appended", is_there).await;
                }
            }
            Trouble::ReaderEmpty => {
                let nowhere = format!("redis://127.0.0.1:{}", free_port());
                self.add_reader("reader 2", &nowhere).await;
                self.watch();
            }
        }
    }

    async fn kill(&mut self, name: &str) {
        self.members.get_mut(name).unwrap().process.kill().await;
    }

    /// Ends what [`inject`](Self::inject) began, where a person or the upstream would.
    pub(super) async fn mend(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::UpstreamDown | Trouble::ColdStart => self.upstream.come_back(),
            Trouble::HalfGone => {
                let films = catalogue()["films"].as_array().unwrap().clone();
                self.upstream.replace("films", films);
            }
            Trouble::CacheDown => self.redis.restart().await,
            Trouble::LeaderFreezes => self.members["poller"].process.signal(Signal::Cont),
            Trouble::ReaderBehind => self.network.set(Network::Works),
            Trouble::PollerDead => {
                let poller = self.poller(&self.redis.url()).start().await;
                self.add("poller", poller);
            }
            _ => self.upstream.behave(),
        }
    }

    /// One request for all films as a client sends it. Returns the status, or `no answer`.
    pub(super) async fn request_as_client(&self, name: &str) -> String {
        let url = match (&self.edge, self.edge_metrics.is_some()) {
            (Some(edge), _) => edge.url.clone(),
            (None, true) => return "no answer".to_owned(),
            (None, false) => self.members[name].url().unwrap(),
        };
        let answer = try_get(&format!("{url}/films")).await;
        answer.map_or_else(
            |_| "no answer".to_owned(),
            |answer| answer.status.to_string(),
        )
    }

    /// The first sentence of a reader's `/status`.
    pub(super) async fn sentence(&self, name: &str) -> String {
        let url = format!("{}/status.json", self.members[name].url().unwrap());
        let answer = request(Method::GET, &url, &[]).await.json();
        answer["sentence"].as_str().unwrap().to_owned()
    }
}

impl Member {
    fn url(&self) -> Option<String> {
        Some(format!("http://{}", self.address.as_ref()?))
    }

    async fn loaded(&self) {
        self.process.wait_for_log("server_ready", |_| true).await;
    }

    /// The series of `/metrics` with their values.
    pub(super) async fn metrics(&self) -> BTreeMap<String, f64> {
        let Ok(answer) = try_get(&format!("http://{}/metrics", self.admin_address)).await else {
            return BTreeMap::new();
        };
        let text = answer.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        series
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }
}
