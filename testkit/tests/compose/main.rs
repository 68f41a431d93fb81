//! Really runs `docker compose up --build`: three readers behind Traefik, and a stand-in upstream.
//!
//! This needs a Docker engine on this machine. Without one, it is skipped. The
//! first run builds optimised images, which takes minutes; later runs build only changes.

mod confinement;
mod docker;
mod monitoring;
mod replace;
mod secrets;
mod settings;
mod stack;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docker::Docker;
use http::Method;
use serde_json::Value;
use stack::Stack;
use testkit::client::{get, hammer, request, try_get};
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, eventually, skip};

const READERS: usize = 3;

/// How long Traefik waits for an answer, as set in `docker-compose.yml`, and a little more.
const ANSWER_TIME: Duration = Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_mirror_runs_on_one_machine() {
    let Some(docker) = Docker::find().await else {
        skip("compose", "no Docker engine answers");
        return;
    };
    let upstream = Upstream::start(testkit::catalogue());
    let stack = Box::pin(Stack::up(docker, &upstream, READERS)).await;

    for service in ["redis", "poller", "fallback", "server", "traefik"] {
        for container in stack.containers(service).await {
            healthy(&stack, &container).await;
        }
    }
    confinement::holds_for_every_container(&stack).await;
    confinement::nothing_can_be_written_outside_of_volumes(&stack).await;
    confinement::redis_gives_each_user_only_its_permissions(&stack).await;
    confinement::started_in_order(&stack).await;
    the_edge_serves_the_mirror_and_nothing_else(&stack).await;
    every_reader_takes_its_turn(&stack).await;

    under_load(&stack, 0, "a reader killed and back", async {
        let victim = &stack.containers("server").await[0];
        stack.docker.run(&["kill", victim]).await;
        readers_up(&stack, READERS - 1).await;
        stack.docker.run(&["start", victim]).await;
        readers_up(&stack, READERS).await;
    })
    .await;
    under_load(&stack, 0, "a reader frozen and back", async {
        let victim = &stack.containers("server").await[1];
        stack.docker.run(&["pause", victim]).await;
        readers_up(&stack, READERS - 1).await;
        // Waits until Traefik has given up on the last request to the frozen reader.
        tokio::time::sleep(ANSWER_TIME).await;
        stack.docker.run(&["unpause", victim]).await;
        readers_up(&stack, READERS).await;
    })
    .await;
    under_load(&stack, 0, "Redis restarted", async {
        redis_restarts_with_its_data(&stack).await;
    })
    .await;

    let films = films(&stack).await;
    upstream.release("The Boy and the Heron");
    eventually("the release on every reader", TIME_LIMIT, async || {
        all_have(&stack, films + 1).await
    })
    .await;

    replace::a_roll_fails_no_request(&stack).await;
    replace::a_roll_to_a_broken_reader_changes_nothing(&stack).await;
    replace::with_no_reader_clients_get_a_time_to_try_again(&stack).await;
    settings::any_port_can_be_published(&stack).await;
    settings::proxies_reach_the_poller(&stack).await;
    monitoring::prometheus_sees_everything_and_changes_nothing(&stack).await;
    a_second_up_changes_nothing(&stack).await;
    // Last, after all containers have been through trouble.
    secrets::are_in_their_volume_and_nowhere_else(&stack).await;
}

async fn the_edge_serves_the_mirror_and_nothing_else(stack: &Stack) {
    readers_up(stack, READERS).await;
    let films = get(&stack.url("/films")).await;
    assert_eq!(films.status, 200);
    let records = films.json();
    assert_eq!(records.as_array().map(Vec::len), Some(22));
    let link = records[0]["url"].as_str().expect("a link");
    assert!(
        link.starts_with(&stack.url("").replace("127.0.0.1", "localhost")),
        "{link}"
    );

    for inner in [
        "/livez",
        "/readyz",
        "/metrics",
        "/ping",
        "/dashboard/",
        "/api/rawdata",
    ] {
        assert_eq!(get(&stack.url(inner)).await.status, 404, "{inner}");
    }
    let post = request(Method::POST, &stack.url("/films"), &[]).await;
    assert_eq!((post.status, post.header("allow").is_some()), (405, true));

    for outer in ["/dashboard/", "/ping", "/api/overview"] {
        assert_eq!(get(&stack.traefik_url(outer)).await.status, 200, "{outer}");
    }
    let metrics = get(&stack.traefik_url("/metrics")).await.text();
    assert!(metrics.contains("traefik_service_requests_total"));
}

/// The poller is frozen, so it cannot write again what a restart loses.
async fn redis_restarts_with_its_data(stack: &Stack) {
    let redis = stack.container("redis").await;
    let poller = stack.container("poller").await;
    let snapshot = async || {
        let password = "REDISCLI_AUTH=$(sed 's/.*:\\(.*\\)@.*/\\1/' /run/keys/server-url)";
        let line = format!("{password} redis-cli --user server GET {{ghibli}}:snapshot");
        stack.docker.run(&["exec", &redis, "sh", "-c", &line]).await
    };
    stack.docker.run(&["pause", &poller]).await;
    let before = snapshot().await;
    assert!(before.starts_with('{'), "{before}");
    stack.docker.run(&["restart", &redis]).await;
    healthy(stack, &redis).await;
    assert!(snapshot().await == before, "Redis lost the snapshot");
    stack.docker.run(&["unpause", &poller]).await;
}

/// Traefik asks the readers in strict turn, so as many requests as readers reach them all. Traefik
/// logs one JSON object for each request, with the reader's name.
async fn every_reader_takes_its_turn(stack: &Stack) {
    let traefik = stack.container("traefik").await;
    eventually("every reader in Traefik's log", TIME_LIMIT, async || {
        for _ in 0..READERS {
            assert_eq!(get(&stack.url("/people?turn")).await.status, 200);
        }
        let (_, log) = stack.docker.attempt(&["logs", &traefik]).await;
        let readers: BTreeSet<_> = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["RequestPath"] == "/people?turn" && line["DownstreamStatus"] == 200)
            .map(|line| line["ServiceAddr"].to_string())
            .collect();
        readers.len() == READERS
    })
    .await;
}

/// Compose runs the password service again; the passwords stay, and all containers keep running.
async fn a_second_up_changes_nothing(stack: &Stack) {
    let redis = stack.container("redis").await;
    let passwords = async || {
        let look = "sha256sum /run/keys/*-url";
        stack.docker.run(&["exec", &redis, "sh", "-c", look]).await
    };
    let before = (stack.containers("server").await, passwords().await);
    stack.scale(READERS).await;
    let after = (stack.containers("server").await, passwords().await);
    assert_eq!(before, after);
}

/// Sends requests for collections, a record and the page without a pause: from before `happens`
/// until it has ended and this many answers have arrived. Panics if any answer is not a 200.
async fn under_load<T>(
    stack: &Stack,
    at_least: usize,
    what: &str,
    happens: impl Future<Output = T>,
) -> T {
    /// Short enough to end soon after `happens`, long enough to reuse connections.
    const ROUND: usize = 200;
    const CLIENTS: usize = 8;

    let film = get(&stack.url("/films")).await.json()[0]["id"].clone();
    let film = format!("/films/{}", film.as_str().expect("an id"));
    let urls = ["/films", "/people", &film, "/movies"].map(|path| stack.url(path));
    let over = AtomicBool::new(false);
    let load = async {
        let (mut answered, mut longest) = (0, Duration::ZERO);
        loop {
            let is_last = over.load(Ordering::Relaxed);
            let tally = hammer(&urls, ROUND, CLIENTS).await;
            assert!(tally.all_ok(), "{what}: {tally:?}");
            answered += tally.answered;
            longest = longest.max(tally.longest);
            if is_last && answered >= at_least {
                return (answered, longest);
            }
        }
    };
    let happens = async {
        let outcome = happens.await;
        over.store(true, Ordering::Relaxed);
        outcome
    };
    let ((answered, longest), outcome) = tokio::join!(load, happens);
    println!("{what}: {answered} requests answered, the slowest took {longest:?}");
    outcome
}

/// Waits until Traefik sends requests to this many readers.
async fn readers_up(stack: &Stack, wanted: usize) {
    let url = stack.traefik_url("/api/http/services/mirror@docker");
    eventually(&format!("{wanted} readers up"), TIME_LIMIT, async || {
        let Ok(service) = try_get(&url).await else {
            return false;
        };
        // A Traefik that has just started knows no readers yet.
        if service.status == 404 {
            return false;
        }
        let status = service.json()["serverStatus"].take();
        let up = status.as_object().map_or(0, |all| {
            all.values().filter(|status| *status == "UP").count()
        });
        up == wanted
    })
    .await;
}

/// Waits until Docker reports that a container is healthy.
async fn healthy(stack: &Stack, container: &str) {
    eventually("a healthy container", TIME_LIMIT, async || {
        stack.docker.inspect(container).await["State"]["Health"]["Status"] == "healthy"
    })
    .await;
}

async fn films(stack: &Stack) -> usize {
    let films = get(&stack.url("/films")).await.json();
    films.as_array().expect("a list of films").len()
}

async fn all_have(stack: &Stack, wanted: usize) -> bool {
    for _ in 0..2 * READERS {
        if films(stack).await != wanted {
            return false;
        }
    }
    true
}
