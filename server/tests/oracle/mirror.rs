//! The mirror's side: the real server, with a cache that the real poller filled with the test
//! catalogue.

use std::fs;

use serde_json::{Map, Value};
use tempfile::TempDir;
use testkit::oracle::beside;
use testkit::process::{Process, RunningServer, Server, binaries};
use testkit::upstream::Upstream;
use tokio::runtime::Runtime;

/// The test catalogue: its collections by name.
pub(crate) fn catalogue() -> Map<String, Value> {
    let text = fs::read_to_string(beside("catalogue.json")).expect("the catalogue");
    serde_json::from_str(&text).expect("JSON")
}

/// A running mirror of the test catalogue; it stops when dropped.
pub(crate) struct Mirror {
    pub(crate) base: String,
    // Rust drops the fields in this order, and the processes must stop in this order.
    _server: RunningServer,
    _runtime: Runtime,
    _cache: TempDir,
}

impl Mirror {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let cache = tempfile::tempdir().expect("a directory");
        let url = format!("file:{}", cache.path().display());
        let server = runtime.block_on(async {
            let upstream = Upstream::start(Value::Object(catalogue()));
            let environment = [("GHIBLI_API", upstream.url()), ("CACHE_URL", url.clone())];
            let mut sync = Process::spawn("poller", &binaries().poller, &["sync"], &environment);
            assert!(sync.wait().await.success(), "{:?}", sync.stdout());
            let server = Server::new(&url).env("LINKS", "upstream").start().await;
            server
                .process
                .wait_for_log("snapshot_loaded", |_| true)
                .await;
            let ready = format!("{}/readyz", server.admin_url());
            let is_ready = async || testkit::client::get(&ready).await.status == 200;
            testkit::eventually("ready", testkit::TIME_LIMIT, is_ready).await;
            server
        });
        Self {
            base: server.url(),
            _server: server,
            _runtime: runtime,
            _cache: cache,
        }
    }
}
