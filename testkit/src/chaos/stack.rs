//! The real processes: two pollers, three readers, Redis, and the stand-in upstream. Each process
//! has its own network to Redis.

use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::clock::Clock;
use super::promise::Promise;
use super::record::Record;
use super::trouble::{Node, POLLERS, READERS};
use crate::edge::Edge;
use crate::process::{Mark, Poller, Process, RunningPoller, RunningServer, Server, Signal};
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::upstream::Upstream;
use crate::{catalogue, free_port};

/// Every second.
const SCHEDULE: &str = "* * * * * *";

/// How often the run reads the processes' logs.
const LISTENING: Duration = Duration::from_millis(50);

/// Everything that runs.
pub(super) struct Stack {
    pub(super) upstream: Upstream,
    pub(super) redis: Mutex<Redis>,
    pollers: Vec<Slot>,
    readers: Vec<Slot>,
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
    program: Program,
    running: Mutex<Option<Running>>,
}

enum Program {
    Poller(Poller),
    Server(Server),
}

struct Running {
    process: Process,
    heard: Mark,
}

impl Stack {
    /// Prepares everything, but starts none of the project's processes.
    pub(super) async fn new() -> Self {
        let upstream = Upstream::start(catalogue());
        let redis = Redis::start_persistent().await;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (mut pollers, mut readers) = (Vec::new(), Vec::new());
        for poller in 0..POLLERS {
            let proxy = Proxy::start(redis.port()).await;
            let clock = Clock::new(directory.path(), &format!("clock-{poller}"));
            let cache = format!("redis://127.0.0.1:{}", proxy.port());
            let mut program = Poller::new(&upstream.url(), &cache)
                .schedule(SCHEDULE)
                .env("UPSTREAM_TIMEOUT", "1s")
                // A standby logs what it learns only at this level.
                .env("LOG_LEVEL", "info,poller=debug");
            for (name, value) in clock.iter().flat_map(Clock::environment) {
                program = program.env(name, value);
            }
            pollers.push(Slot {
                node: Node::Poller(poller),
                proxy,
                clock,
                url: String::new(),
                program: Program::Poller(program),
                running: Mutex::default(),
            });
        }
        for reader in 0..READERS {
            let proxy = Proxy::start(redis.port()).await;
            let address = format!("127.0.0.1:{}", free_port());
            let program = Server::new(&format!("redis://127.0.0.1:{}", proxy.port()))
                // An edge expects the same address after a restart.
                .env("LISTEN_ADDR", &address)
                .env("LINKS", "upstream");
            readers.push(Slot {
                node: Node::Reader(reader),
                proxy,
                clock: None,
                url: format!("http://{address}"),
                program: Program::Server(program),
                running: Mutex::default(),
            });
        }
        Self {
            upstream,
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

    pub(super) fn readers(&self) -> &[Slot] {
        &self.readers
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

    /// Reads all logs and counts the upstream's requests, for ever.
    pub(super) async fn listen(&self, record: &Record) {
        loop {
            for slot in self.slots() {
                slot.listen(record);
            }
            let requests = self.upstream.counts().requests;
            let now = record.now();
            record.with(|known| {
                known.figures.upstream_requests = requests;
                if let Some(seen) = known.share.sample(now, requests) {
                    known.model.broken(Promise::OnePollersShare, seen);
                }
            });
            sleep(LISTENING).await;
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.pollers.iter().chain(&self.readers)
    }
}

impl Slot {
    /// Starts the process, and waits until it reports that it works.
    pub(super) async fn start(&self, record: &Record) {
        let mut running = self.running.lock().await;
        let now = record.now();
        record.with(|known| match self.node {
            Node::Poller(poller) => {
                known.share.out_of_turn(now);
                known.model.poller_started(poller);
            }
            Node::Reader(reader) => known.model.reader_started(reader),
        });
        let process = match &self.program {
            Program::Poller(program) => RunningPoller::ready(program.spawn()).await.process,
            Program::Server(program) => RunningServer::ready(program.spawn()).await.process,
        };
        let heard = Mark::default();
        *running = Some(Running { process, heard });
    }

    /// Kills the process if it runs, and reads its last log lines.
    pub(super) async fn kill(&self, record: &Record) {
        let mut running = self.running.lock().await;
        let Some(mut dying) = running.take() else {
            return;
        };
        dying.process.kill().await;
        dying.hear(self.node, record);
        if let Node::Poller(poller) = self.node {
            record.with(|known| known.model.poller_died(poller));
        }
    }

    /// Freezes the process, or lets it continue.
    pub(super) async fn signal(&self, signal: Signal) {
        if let Some(running) = &*self.running.lock().await {
            running.process.signal(signal);
        }
    }

    /// Reads the process's new log lines, unless another task starts or kills the process now.
    fn listen(&self, record: &Record) {
        let Ok(mut running) = self.running.try_lock() else {
            return;
        };
        let Some(running) = &mut *running else {
            return;
        };
        let runs = running.process.is_running();
        running.hear(self.node, record);
        if !runs {
            let seen = format!("{} ended", self.node);
            record.with(|known| known.model.broken(Promise::StaysUp, seen));
        }
    }

    /// Reads all log lines of the process so far.
    pub(super) async fn hear(&self, record: &Record) {
        if let Some(running) = &mut *self.running.lock().await {
            running.hear(self.node, record);
        }
    }
}

impl Running {
    fn hear(&mut self, node: Node, record: &Record) {
        let (lines, heard) = self.process.stderr_since(self.heard);
        self.heard = heard;
        record.logged(node, lines);
    }
}
