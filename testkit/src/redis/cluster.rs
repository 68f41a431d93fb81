//! A Redis Cluster of three nodes without replicas.

use super::server::Redis;
use crate::{TIME_LIMIT, eventually, free_port};

/// The number of slots of every Redis Cluster.
const SLOTS: u16 = 16384;

/// The nodes. Dropping the cluster kills them all.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts the cluster, and waits until all nodes agree that all slots are covered.
    ///
    /// # Panics
    ///
    /// When a node does not become ready.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        let mut meet = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let node = Redis::start_with(&cluster).await;
            meet.push((node.port().to_string(), bus));
            nodes.push(node);
        }
        let share = SLOTS / 3;
        for (node, first) in nodes.iter().zip([0, share, 2 * share]) {
            let last = if first == 2 * share {
                SLOTS
            } else {
                first + share
            } - 1;
            let range = [first.to_string(), last.to_string()];
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]])
                .await;
            for (port, bus) in &meet {
                node.cli(&["CLUSTER", "MEET", "127.0.0.1", port, bus]).await;
            }
        }
        for node in &nodes {
            eventually("a node knows the whole cluster", TIME_LIMIT, async || {
                let state = node.cli(&["CLUSTER", "INFO"]).await;
                state.contains("cluster_state:ok") && state.contains("cluster_known_nodes:3")
            })
            .await;
        }
        Self { nodes }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The index of the node that holds a key.
    ///
    /// # Panics
    ///
    /// When no node reports that it holds the key.
    pub async fn owner(&self, key: &str) -> usize {
        for (index, node) in self.nodes.iter().enumerate() {
            if !node.cli(&["EXISTS", key]).await.starts_with("MOVED") {
                return index;
            }
        }
        panic!("no node has {key}");
    }
}
