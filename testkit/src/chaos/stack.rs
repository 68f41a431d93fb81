//! The real processes: two pollers, three readers, Redis, and the stand-in upstream. Each process
//! has its own network to Redis.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::answer::ids;
use super::clock::Clock;
use super::model::Stored;
use super::record::Record;
use super::report::{SHARE, STAYS_UP};
use super::schedule::{Node, POLLERS, READERS};
use crate::edge::Edge;
use crate::process::{Mark, Poller, Process, RunningPoller, RunningServer, Server, Signal};
use crate::proxy::Proxy;
use crate::receiver::Receiver;
use crate::redis::Redis;
use crate::upstream::Upstream;
use crate::{catalogue, free_port};

/// What signs the webhooks.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How often the run reads the processes' logs, and how often it looks at the cache.
const LISTENS: Duration = Duration::from_millis(50);
const LOOKS: Duration = Duration::from_millis(200);

/// Returns the lease, the status and the snapshot at one moment.
const LOOK: &str = "local seen = {}
    for index, name in ipairs({'lease', 'status', 'snapshot'}) do
        seen[index] = redis.call('GET', '{ghibli}:' .. name) or ''
    end";

/// Everything that runs.
pub(super) struct Stack {
    pub(super) upstream: Upstream,
    pub(super) receiver: Receiver,
    /// Locked for a trouble or for a look at the cache.
    pub(super) redis: Mutex<Redis>,
    pollers: Vec<Slot>,
    pub(super) readers: Vec<Slot>,
    /// Holds the files of the clocks and the edge.
    directory: TempDir,
}

/// A process's place, which stays when the process dies.
pub(super) struct Slot {
    pub(super) node: Node,
    pub(super) proxy: Proxy,
    pub(super) clock: Option<Clock>,
    /// The URL on which it serves, if it serves.
    pub(super) url: String,
    spawn: Box<dyn Fn() -> Process + Send + Sync>,
    /// The process, and how far the run has read its log.
    running: Mutex<Option<(Process, Mark)>>,
}

impl Stack {
    /// Prepares everything, but starts none of the project's processes.
    pub(super) async fn new() -> Self {
        let upstream = Upstream::start(catalogue());
        let receiver = Receiver::start(&[]).await;
        let redis = Redis::start_persistent().await;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (mut pollers, mut readers) = (Vec::new(), Vec::new());
        for poller in 0..POLLERS {
            let mut slot = Slot::new(Node::Poller(poller), &redis).await;
            slot.clock = Clock::new(directory.path(), &format!("clock-{poller}"));
            let mut program = Poller::new(&upstream.url(), &slot.cache())
                .schedule("* * * * * *")
                .env("UPSTREAM_TIMEOUT", "1s")
                .env("WEBHOOK_URLS", receiver.url())
                .env("WEBHOOK_SECRET", SECRET)
                .env("LOG_LEVEL", "info,poller=debug");
            for (name, value) in slot.clock.iter().flat_map(Clock::environment) {
                program = program.env(name, value);
            }
            slot.spawn = Box::new(move || program.spawn());
            pollers.push(slot);
        }
        for reader in 0..READERS {
            let mut slot = Slot::new(Node::Reader(reader), &redis).await;
            let address = format!("127.0.0.1:{}", free_port());
            slot.url = format!("http://{address}");
            // An edge expects the same address after a restart.
            let program = Server::new(&slot.cache()).env("LISTEN_ADDR", &address);
            let program = program.env("LINKS", "upstream");
            slot.spawn = Box::new(move || program.spawn());
            readers.push(slot);
        }
        Self {
            upstream,
            receiver,
            redis: Mutex::new(redis),
            pollers,
            readers,
            directory,
        }
    }

    pub(super) fn slot(&self, node: Node) -> &Slot {
        match node {
            Node::Poller(index) => &self.pollers[index],
            Node::Reader(index) => &self.readers[index],
        }
    }

    /// Starts an edge in front of the readers, where Traefik is installed.
    pub(super) async fn edge(&self) -> Option<Edge> {
        let readers = self.readers.iter().map(|reader| reader.url.as_str());
        Edge::start(self.directory.path(), readers).await
    }

    /// Starts every process.
    pub(super) async fn start(&self, record: &Record) {
        for slot in self.slots() {
            slot.start(record).await;
        }
    }

    /// Kills every process.
    pub(super) async fn stop(&self, record: &Record) {
        for slot in self.slots() {
            slot.kill(record).await;
        }
        self.redis.lock().await.kill().await;
    }

    /// Looks at the cache, for ever.
    pub(super) async fn watch(&self, record: &Record) {
        loop {
            self.look(record, "", "").await;
            sleep(LOOKS).await;
        }
    }

    /// Looks at the cache, at one moment with other commands before and after the look.
    pub(super) async fn look(&self, record: &Record, before: &str, after: &str) {
        let script = format!("{before} {LOOK} {after} return table.concat(seen, '\\0')");
        let redis = self.redis.lock().await;
        let least = record.with(|known| known.model.committed);
        let seen = redis.cli(&["EVAL", &script, "0"]).await;
        let parts: Vec<&str> = seen.split('\0').collect();
        let [holder, status, snapshot] = parts[..] else {
            panic!("Redis cannot look: {seen}");
        };
        let status = serde_json::from_str(status).unwrap_or_default();
        record.looked(&status, stored(holder, snapshot), least);
    }

    /// Empties the cache. The model learns what was announced before, and what was in the cache at
    /// the last moment.
    pub(super) async fn flush(&self, record: &Record) {
        for poller in &self.pollers {
            poller.hear(record, &mut *poller.running.lock().await);
        }
        self.look(record, "", "redis.call('FLUSHALL')").await;
        record.with(|known| known.model.cache_lost());
    }

    /// Reads all logs and counts the upstream's requests, for ever.
    pub(super) async fn listen(&self, record: &Record) {
        loop {
            for slot in self.slots() {
                // Another task may start or kill the process now.
                let Ok(mut running) = slot.running.try_lock() else {
                    continue;
                };
                slot.hear(record, &mut running);
                if running
                    .as_mut()
                    .is_some_and(|(process, _)| !process.is_running())
                {
                    let seen = format!("{:?} ended", slot.node);
                    record.with(|known| known.model.broken(STAYS_UP, seen));
                }
            }
            let received = self.receiver.requests();
            let (now, requests) = (record.now(), self.upstream.counts().requests);
            record.with(|known| {
                known.figures.upstream_requests = requests;
                for request in &received[known.figures.webhooks..] {
                    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
                    let film = body["data"]["id"].as_str().unwrap_or_default();
                    known.model.received(&request.id(), film, request.accepted);
                }
                known.figures.webhooks = received.len();
                if let Some(seen) = known.share.sample(now, requests) {
                    known.model.broken(SHARE, seen);
                }
            });
            sleep(LISTENS).await;
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.pollers.iter().chain(&self.readers)
    }
}

/// Reads the snapshot in the mirror's own format.
pub(super) fn stored(holder: &str, snapshot: &str) -> Option<Stored> {
    let snapshot: Value = serde_json::from_str(snapshot).ok()?;
    let number = |value: &Value| value.as_u64().expect("a number in the snapshot");
    let lineage = snapshot["lineage"].as_object().expect("a lineage");
    let releases = snapshot["releases"].as_array().expect("a release log");
    let logged = |release: &Value| {
        let id = release["id"].as_str().expect("an id in the release log");
        (number(&release["sequence"]), id.to_owned())
    };
    Some(Stored {
        holder: holder.to_owned(),
        generation: number(&snapshot["generation"]),
        lineage: lineage
            .iter()
            .map(|(name, last)| (name.clone(), number(last)))
            .collect(),
        films: ids(&snapshot["collections"]["films"]["records"]),
        log: releases.iter().map(logged).collect(),
    })
}

impl Slot {
    async fn new(node: Node, redis: &Redis) -> Self {
        Self {
            node,
            proxy: Proxy::start(redis.port()).await,
            clock: None,
            url: String::new(),
            spawn: Box::new(|| unreachable!("each place gets a program")),
            running: Mutex::default(),
        }
    }

    /// The cache's URL, through this process's own network.
    fn cache(&self) -> String {
        format!("redis://127.0.0.1:{}", self.proxy.port())
    }

    /// Starts the process, and waits until it reports that it works.
    pub(super) async fn start(&self, record: &Record) {
        let mut running = self.running.lock().await;
        let (now, process) = (record.now(), (self.spawn)());
        record.with(|known| match self.node {
            Node::Poller(poller) => {
                known.share.out_of_turn(now);
                known.model.poller_started(poller, process.pid(), now);
            }
            Node::Reader(reader) => known.model.reader_started(reader),
        });
        let process = match self.node {
            Node::Poller(_) => RunningPoller::ready(process).await.process,
            Node::Reader(_) => RunningServer::ready(process).await.process,
        };
        *running = Some((process, Mark::default()));
    }

    /// Kills the process if it runs, and reads its last log lines.
    pub(super) async fn kill(&self, record: &Record) {
        let mut running = self.running.lock().await;
        if let Some((process, _)) = &mut *running {
            process.kill().await;
        }
        self.hear(record, &mut running);
        *running = None;
        if let Node::Poller(poller) = self.node {
            record.with(|known| known.model.poller_died(poller));
        }
    }

    /// Freezes the process, or lets it continue.
    pub(super) async fn signal(&self, signal: Signal) {
        if let Some((process, _)) = &*self.running.lock().await {
            process.signal(signal);
        }
    }

    /// Reads the process's new log lines.
    fn hear(&self, record: &Record, running: &mut Option<(Process, Mark)>) {
        if let Some((process, heard)) = running {
            let lines;
            (lines, *heard) = process.stderr_since(*heard);
            record.logged(self.node, lines);
        }
    }
}
