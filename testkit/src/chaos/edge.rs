//! The edge: Traefik in front of the readers, where it is installed.
//!
//! Set up as `docker-compose.yml` sets it up, except for what Docker is not there to do: readers are
//! listed in a file; their health is asked for where they serve, because on one machine they cannot
//! share an admin port; and one that has just started is asked before it has loaded anything, so
//! that its 503 is a reason to ask another.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::client::try_get;
use crate::process::{Process, installed};
use crate::{PATIENCE, eventually, free_port};

const PROGRAM: &str = "traefik";

/// How long the edge may take over one request: its last retry begins within 8 s.
pub(super) const ANSWER: Duration = Duration::from_secs(12);

/// Whether there can be an edge on this machine.
pub(super) fn can_stand() -> bool {
    installed(PROGRAM).next().is_some()
}

/// A running Traefik.
pub(super) struct Edge {
    pub(super) url: String,
    _process: Process,
}

impl Edge {
    /// Starts it with its configuration in this directory; `None` where Traefik is not installed.
    pub(super) async fn start<'a>(
        directory: &Path,
        readers: impl Iterator<Item = &'a str>,
    ) -> Option<Self> {
        if !can_stand() {
            return None;
        }
        let file = directory.join("edge.yml");
        // What is JSON is YAML.
        std::fs::write(&file, routing(readers).to_string()).expect("a file can be written");
        let url = format!("http://127.0.0.1:{}", free_port());
        let arguments = [
            "--global.checknewversion=false".to_owned(),
            "--global.sendanonymoususage=false".to_owned(),
            format!("--providers.file.filename={}", file.display()),
            format!("--entrypoints.web.address={}", &url["http://".len()..]),
            "--serverstransport.forwardingtimeouts.dialtimeout=500ms".to_owned(),
            "--serverstransport.forwardingtimeouts.responseheadertimeout=2s".to_owned(),
        ];
        let mut process = Process::spawn(PROGRAM, PROGRAM, &arguments, &[]);
        // It listens before it has read the file, and answers 404 until then.
        let routes = async || {
            assert!(process.is_running(), "{PROGRAM}: {:?}", process.stdout());
            try_get(&url).await.is_ok_and(|answer| answer.status != 404)
        };
        eventually("the edge to know the readers", PATIENCE, routes).await;
        Some(Self {
            url,
            _process: process,
        })
    }
}

fn routing<'a>(readers: impl Iterator<Item = &'a str>) -> serde_json::Value {
    let servers: Vec<_> = readers.map(|url| json!({"url": url})).collect();
    json!({"http": {
        "routers": {"mirror": {
            "rule": "PathPrefix(`/`)",
            "middlewares": ["retry"],
            "service": "mirror",
        }},
        "middlewares": {"retry": {"retry": {
            "attempts": 30,
            "initialInterval": "50ms",
            "timeout": "8s",
            "status": ["502", "503", "504"],
        }}},
        "services": {"mirror": {"loadBalancer": {
            "servers": servers,
            "healthCheck": {
                "path": "/films",
                "method": "HEAD",
                "interval": "1s",
                "timeout": "1s",
            },
        }}},
    }})
}
