//! A master with two replicas, and three sentinels that agree on which of them is the master.

use super::server::Redis;
use crate::{TIME_LIMIT, eventually};

/// The sentinels' name for the master.
const NAME: &str = "ghibli";

/// After this many milliseconds without an answer, a sentinel considers a server dead.
const DOWN_AFTER: u32 = 700;

/// The group. Dropping it kills all its servers.
#[derive(Debug)]
pub struct Failover {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
    password: Option<String>,
    sentinel_password: Option<String>,
}

impl Failover {
    /// Starts the group, and waits until each sentinel knows all the others.
    ///
    /// # Panics
    ///
    /// When a server does not become ready.
    pub async fn start() -> Self {
        Self::start_as(None, None).await
    }

    /// As [`start`](Self::start), with one password for the servers and another for the sentinels.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_with_passwords(servers: &str, sentinels: &str) -> Self {
        Self::start_as(Some(servers), Some(sentinels)).await
    }

    async fn start_as(password: Option<&str>, sentinel_password: Option<&str>) -> Self {
        // Replicas receive their first copy at once instead of after five seconds.
        let mut arguments = vec!["--repl-diskless-sync-delay", "0"];
        let mut lines = String::new();
        if let Some(password) = password {
            arguments.extend(["--requirepass", password, "--masterauth", password]);
            lines = format!("sentinel auth-pass {NAME} {password}\n");
        }
        if let Some(password) = sentinel_password {
            let own = format!("requirepass {password}\nsentinel sentinel-pass {password}\n");
            lines.push_str(&own);
        }
        let master = Redis::start_with(&arguments).await;
        let port = master.port().to_string();
        let mut group = Self {
            servers: vec![master],
            sentinels: Vec::new(),
            password: password.map(str::to_owned),
            sentinel_password: sentinel_password.map(str::to_owned),
        };
        arguments.extend(["--replicaof", "127.0.0.1", &port]);
        for _ in 0..2 {
            group.servers.push(Redis::start_with(&arguments).await);
        }
        let lines = format!(
            "sentinel monitor {NAME} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {NAME} {DOWN_AFTER}\n\
             sentinel failover-timeout {NAME} 5000\n{lines}"
        );
        for _ in 0..3 {
            group.sentinels.push(Redis::start_sentinel(&lines).await);
        }
        for sentinel in &group.sentinels {
            eventually("a sentinel knows the group", TIME_LIMIT, async || {
                let command = ["SENTINEL", "MASTER", NAME];
                let known = asked(sentinel, group.sentinel_password.as_deref(), &command).await;
                let says = |field: &str, value: &str| {
                    let mut lines = known.lines();
                    lines.any(|line| line == field) && lines.next() == Some(value)
                };
                says("num-slaves", "2") && says("num-other-sentinels", "2")
            })
            .await;
        }
        group
    }

    /// What a server of the group answers; logs in first if the group has passwords.
    ///
    /// # Panics
    ///
    /// As [`Redis::cli`].
    pub async fn ask(&self, server: &Redis, command: &[&str]) -> String {
        asked(server, self.password.as_deref(), command).await
    }

    /// `redis+sentinel://` with all three sentinels.
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        format!("redis+sentinel://{}/{NAME}", sentinels.join(","))
    }

    /// The servers; the first is the original master. [`master`](Self::master) finds the current
    /// one.
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The server that the sentinels consider the master.
    ///
    /// # Panics
    ///
    /// When they name a server outside the group.
    pub async fn master(&self) -> &Redis {
        let index = self.index_of_master().await;
        &self.servers[index]
    }

    /// From now on the replicas receive nothing from the master, so its death loses what is written.
    ///
    /// # Panics
    ///
    /// When a server refuses.
    pub async fn stop_replication(&self) {
        // Sentinels promote no replica whose link has been down for ten times this time and as long
        // as the master is down. A slow machine needs more than ten times 700 ms until the master
        // dies.
        for sentinel in &self.sentinels {
            let command = ["SENTINEL", "SET", NAME, "down-after-milliseconds", "5000"];
            assert_eq!(self.ask(sentinel, &command).await, "OK");
        }
        let master = self.master().await;
        let refuse = ["ACL", "SETUSER", "default", "-psync", "-sync"];
        assert_eq!(self.ask(master, &refuse).await, "OK");
        self.ask(master, &["CLIENT", "KILL", "TYPE", "replica"])
            .await;
    }

    /// Kills the master (SIGKILL). Returns its index among the servers.
    ///
    /// # Panics
    ///
    /// As [`master`](Self::master).
    pub async fn kill_master(&mut self) -> usize {
        let index = self.index_of_master().await;
        self.servers[index].kill().await;
        index
    }

    /// Makes a replica the master although the master works, as for an update, and waits until the
    /// sentinels have done it.
    ///
    /// # Panics
    ///
    /// When the sentinels do not do it.
    pub async fn fail_over(&self) {
        let before = self.index_of_master().await;
        let command = ["SENTINEL", "FAILOVER", NAME];
        let reply = self.ask(&self.sentinels[0], &command).await;
        assert_eq!(reply, "OK", "no failover");
        eventually("another master", TIME_LIMIT, async || {
            self.index_of_master().await != before
        })
        .await;
    }

    /// Restarts a killed server; later the sentinels make it a replica.
    ///
    /// # Panics
    ///
    /// As [`Redis::restart`].
    pub async fn restart(&mut self, index: usize) {
        self.servers[index].restart().await;
    }

    async fn index_of_master(&self) -> usize {
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let answer = self.ask(&self.sentinels[0], &question).await;
        let port = answer.lines().nth(1).unwrap_or(&answer);
        self.servers
            .iter()
            .position(|server| server.port().to_string() == port)
            .unwrap_or_else(|| panic!("the sentinels name a stranger: {answer}"))
    }
}

async fn asked(server: &Redis, password: Option<&str>, command: &[&str]) -> String {
    match password {
        Some(password) => {
            let log_in = ["--no-auth-warning", "-a", password];
            server.cli(&[&log_in, command].concat()).await
        }
        None => server.cli(command).await,
    }
}
