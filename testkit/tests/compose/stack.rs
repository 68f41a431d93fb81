//! The stack of `docker-compose.yml`, with its own name and ports; the test removes it at its end.
//!
//! An override file holds the differences from `docker compose up --build`: the images have another
//! tag, their build optimises less, which saves minutes, and may use the machine's network; and the
//! poller can reach only the stand-in upstream.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, free_port};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::docker::{Docker, attempt, run};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The variables with which people set a proxy.
pub(crate) const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// A first build compiles everything, optimised, in a container.
const BUILD: Duration = Duration::from_mins(25);

/// Every container's first health check comes after 5 s, and containers wait for each other.
const START: Duration = Duration::from_mins(3);

/// The running stack. Dropping it removes everything that it started.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) docker: Docker,
    project: String,
    directory: TempDir,
    port: u16,
    traefik_port: u16,
    prometheus_port: u16,
    upstream_url: String,
    relay: Option<JoinHandle<()>>,
}

impl Stack {
    /// Builds the images and starts everything, with the poller syncing every two seconds.
    pub(crate) async fn up(docker: Docker, upstream: &Upstream, readers: usize) -> Self {
        let mut stack = Self {
            docker,
            project: format!("ghibli-test-{}", std::process::id()),
            directory: tempfile::tempdir().expect("a temporary directory"),
            port: free_port(),
            traefik_port: free_port(),
            prometheus_port: free_port(),
            upstream_url: String::new(),
            relay: None,
        };
        stack.offer(upstream).await;
        stack.change("no label", json!({}));
        for compose in stack.docker.composes() {
            let mut config = stack.compose_with(compose);
            run(config.args(["config", "--quiet"]), TIME_LIMIT).await;
        }
        stack.build().await;
        stack.scale(readers).await;
        stack
    }

    /// Builds the images; only what has changed is compiled again.
    pub(crate) async fn build(&self) {
        run(self.compose().arg("build"), BUILD).await;
    }

    /// Runs `up` with this many readers.
    pub(crate) async fn scale(&self, readers: usize) {
        let scale = format!("server={readers}");
        let up = ["up", "--detach", "--no-build", "--scale", &scale];
        run(self.compose().args(up), START).await;
    }

    /// Runs `docker compose` with these arguments, within the time that containers need.
    pub(crate) async fn composed(&self, args: &[&str]) -> String {
        run(self.compose().args(args), START).await
    }

    /// As [`composed`](Self::composed), with these variables set.
    pub(crate) async fn composed_with(&self, set: &[(&str, &str)], args: &[&str]) -> String {
        run(self.compose().envs(set.iter().copied()).args(args), START).await
    }

    /// Runs `sh deploy/roll.sh`. Returns whether it succeeded, and its output.
    pub(crate) async fn roll(&self, args: &[&str]) -> (bool, String) {
        let files = [compose_file(), self.override_file()];
        let files = std::env::join_paths(files).expect("the parts of a PATH make a PATH");
        let mut script = Command::new("sh");
        script
            .arg(Path::new(REPOSITORY).join("deploy/roll.sh"))
            .args(args);
        self.set(&mut script).env("COMPOSE_FILE", files);
        attempt(&mut script, BUILD).await
    }

    /// A URL of the mirror at the edge.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A URL of Traefik itself.
    pub(crate) fn traefik_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.traefik_port)
    }

    /// A URL of Prometheus, once it runs.
    pub(crate) fn prometheus_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.prometheus_port)
    }

    /// The name of a volume or network of `docker-compose.yml` in this stack.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    /// The name of the network between Traefik and the readers.
    pub(crate) fn edge(&self) -> String {
        format!("{}-edge", self.project)
    }

    /// The containers of a service, running or not.
    pub(crate) async fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let filters = ["--filter", &project, "--filter", &service];
        let ids = self
            .docker
            .run(&[&["ps", "--all", "--quiet", "--no-trunc"], &filters[..]].concat())
            .await;
        ids.lines().map(str::to_owned).collect()
    }

    /// The one container of a service.
    pub(crate) async fn container(&self, service: &str) -> String {
        let mut containers = self.containers(service).await;
        assert_eq!(containers.len(), 1, "containers of {service}");
        containers.remove(0)
    }

    /// Makes the stand-in, which listens on the loopback, reachable from a Docker network without
    /// another way out.
    async fn offer(&mut self, upstream: &Upstream) {
        let network = self.upstream_network();
        let create = ["network", "create", "--internal", &network];
        self.docker.run(&create).await;
        let network = self.docker.inspect(&network).await;
        let gateway = network["IPAM"]["Config"][0]["Gateway"]
            .as_str()
            .unwrap_or_else(|| panic!("no gateway: {network}"));
        let listener = TcpListener::bind((gateway, 0))
            .await
            .unwrap_or_else(|error| panic!("is the engine on this machine? {gateway}: {error}"));
        let address = listener.local_addr().expect("a bound listener's address");
        self.upstream_url = format!("http://{address}");
        self.relay = Some(tokio::spawn(relay(listener, upstream.port())));
    }

    fn upstream_network(&self) -> String {
        format!("{}-upstream", self.project)
    }

    /// From the next command on, images get this label, so they differ from images with another
    /// label, and services get these additional settings: `{"server": {"labels": ...}}`.
    pub(crate) fn change(&self, label: &str, settings: Value) {
        let built = |target: &str| {
            let labels = json!({"ghibli.test": label});
            let build = json!({
                "context": REPOSITORY, "target": target, "network": "host", "labels": labels,
                "args": {"CARGO_PROFILE_RELEASE_LTO": "thin"},
            });
            json!({"image": format!("ghibli-{target}:test"), "build": build})
        };
        let mut differences = json!({
            "services": {
                "poller": built("poller"),
                "fallback": built("server"),
                "server": built("server"),
            },
            "networks": {"upstream": {"external": true, "name": self.upstream_network()}},
        });
        if let Value::Object(settings) = settings {
            for (service, settings) in settings {
                for (name, value) in settings.as_object().expect("settings of a service") {
                    differences["services"][&service][name] = value.clone();
                }
            }
        }
        // JSON is valid YAML.
        std::fs::write(self.override_file(), differences.to_string()).expect("a file is written");
    }

    fn override_file(&self) -> PathBuf {
        self.directory.path().join("override.yml")
    }

    fn compose(&self) -> Command {
        self.compose_with(&self.docker.composes()[0])
    }

    fn compose_with(&self, compose: &[OsString]) -> Command {
        let mut command = Command::new(&compose[0]);
        command
            .args(&compose[1..])
            .arg("--file")
            .arg(compose_file())
            .arg("--file")
            .arg(self.override_file());
        self.set(&mut command);
        command
    }

    fn set<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("PATH", self.docker.path())
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .env("PORT", self.port.to_string())
            .env("TRAEFIK_PORT", self.traefik_port.to_string())
            .env("PROMETHEUS_PORT", self.prometheus_port.to_string())
            .env("GHIBLI_API", &self.upstream_url)
            .env("POLL_SCHEDULE", "*/2 * * * * *")
            // One value for all commands: with another one, a build compiles everything of ours again.
            .env("GHIBLI_COMMIT", "")
            // Compose 1.29 builds with BuildKit only on request.
            .env("DOCKER_BUILDKIT", "1")
            .env("COMPOSE_DOCKER_CLI_BUILD", "1");
        // Removes a person's settings for their real stack.
        for theirs in ["PUBLIC_URL", "LINKS", "LOG_LEVEL"] {
            command.env(theirs, "");
        }
        for theirs in PROXIES {
            command.env_remove(theirs);
        }
        command
    }
}

fn compose_file() -> PathBuf {
    Path::new(REPOSITORY).join("docker-compose.yml")
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The runtime may be ending, so this waits without it.
        let finish = |args: &[&str]| match self
            .compose()
            .env("COMPOSE_PROFILES", "monitoring")
            .as_std_mut()
            .args(args)
            .output()
        {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            failure => format!("{args:?} failed for {}: {failure:?}", self.project),
        };
        if std::thread::panicking() {
            eprintln!("{}", finish(&["ps"]));
            eprintln!("{}", finish(&["logs", "--no-color", "--tail", "15"]));
        }
        let said = finish(&["down", "--volumes", "--remove-orphans", "--timeout", "5"]);
        eprintln!("{said}");
        if let Some(relay) = self.relay.take() {
            relay.abort();
        }
        self.docker
            .run_blocking(&["network", "rm", &self.upstream_network()]);
    }
}

/// Forwards connections to a port of the loopback until the task is dropped.
async fn relay(listener: TcpListener, port: u16) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                // Either side may end the connection in any way.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
