//! Operators replace readers: the README's commands fail no request; with any other command, each
//! failed answer says when to ask again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use testkit::client::{Connection, get, request};
use testkit::edge::missing_in;
use testkit::{TIME_LIMIT, eventually};

use super::stack::Stack;
use super::{READERS, healthy, readers_up, under_load};

/// How many requests must succeed during each of the README's commands.
const REQUESTS: usize = 20_000;

/// The README's restart; then its upgrade, from older routes and to another image.
pub(crate) async fn a_roll_fails_no_request(stack: &Stack) {
    let first = images(stack).await;
    let old = stack.containers("server").await;
    let (is_done, said) = under_load(stack, REQUESTS, "restart", stack.roll(&[])).await;
    assert!(is_done, "{said}");
    all_are_new(stack, &old).await;
    assert_eq!(images(stack).await, first);

    // Readers with older labels, behind a Traefik of the first version, which a roll does not replace.
    stack.change("no label", older_routes());
    stack.scale(READERS).await;
    readers_up(stack, READERS).await;
    stack.change("label", json!({}));
    let old = stack.containers("server").await;
    let traefik = stack.container("traefik").await;
    let fallback = stack.containers("fallback").await;
    let (is_done, said) = under_load(stack, REQUESTS, "upgrade", stack.roll(&["--build"])).await;
    assert!(is_done, "{said}");
    all_are_new(stack, &old).await;
    // Traefik drops what an old and a new reader define differently.
    let reader = stack.containers("server").await.remove(0);
    let labels = stack.docker.inspect(&reader).await["Config"]["Labels"].take();
    let older = older_routes();
    for (name, value) in older["server"]["labels"].as_object().expect("labels") {
        let is_same = labels.get(name).is_none_or(|label| label == value);
        assert!(is_same, "readers of an older version have {name}={value}");
    }
    let upgraded = images(stack).await;
    assert_eq!(upgraded.len(), 1);
    assert!(upgraded.is_disjoint(&first), "{said}");
    assert_ne!(stack.containers("fallback").await, fallback);

    assert_eq!(stack.container("traefik").await, traefik);
    let apply = ["up", "--detach", "--no-deps", "--force-recreate", "traefik"];
    stack.composed(&apply).await;
    healthy(stack, &stack.container("traefik").await).await;
    readers_up(stack, READERS).await;
}

/// The labels of the first version, which had all routes, and of the present one; and a Traefik without
/// edge.yml.
fn older_routes() -> Value {
    json!({
        "server": {"labels": {
            "traefik.http.routers.mirror.entrypoints": "web",
            "traefik.http.routers.mirror.rule": "PathPrefix(`/`)",
            "traefik.http.routers.mirror.middlewares": "busy,retry",
            "traefik.http.routers.mirror.service": "mirror",
            "traefik.http.services.mirror.loadbalancer.server.port": "8080",
            "traefik.http.services.mirror.loadbalancer.healthcheck.port": "9090",
            "traefik.http.services.mirror.loadbalancer.healthcheck.path": "/readyz",
            "traefik.http.services.mirror.loadbalancer.healthcheck.interval": "1s",
            "traefik.http.services.mirror.loadbalancer.healthcheck.timeout": "1s",
            "traefik.http.middlewares.busy.inflightreq.amount": "2000",
            "traefik.http.middlewares.retry.retry.attempts": "30",
            "traefik.http.middlewares.retry.retry.initialinterval": "50ms",
            "traefik.http.middlewares.retry.retry.timeout": "8s",
            "traefik.http.middlewares.retry.retry.status": "502,503,504",
            "traefik.http.routers.readers.entrypoints": "web",
            "traefik.http.routers.readers.rule": "PathPrefix(`/`)",
            "traefik.http.routers.readers.priority": "2",
            "traefik.http.routers.readers.middlewares": "readers",
            "traefik.http.routers.readers.service": "mirror",
            "traefik.http.middlewares.readers.retry.attempts": "30",
            "traefik.http.middlewares.readers.retry.initialinterval": "50ms",
            "traefik.http.middlewares.readers.retry.timeout": "8s",
            "traefik.http.middlewares.readers.retry.status": "502,503,504",
        }},
        "traefik": {"command": [
            "--providers.docker.exposedbydefault=false",
            "--providers.docker.constraints=Label(`ghibli.stack`,`${COMPOSE_PROJECT_NAME}`)",
            "--providers.docker.network=${COMPOSE_PROJECT_NAME}-edge",
            "--entrypoints.web.address=:8080",
            "--serverstransport.forwardingtimeouts.dialtimeout=500ms",
            "--serverstransport.forwardingtimeouts.responseheadertimeout=2s",
            "--entrypoints.traefik.address=:8081",
            "--api.insecure=true",
            "--ping=true",
        ]},
    })
}

/// The new readers end at once; the old ones continue.
pub(crate) async fn a_roll_to_a_broken_reader_changes_nothing(stack: &Stack) {
    let old = stack.containers("server").await;
    stack.change(
        "label",
        json!({"server": {"environment": {"LINKS": "nowhere"}}}),
    );
    let (is_done, said) = under_load(stack, 0, "a broken upgrade", stack.roll(&[])).await;
    stack.change("label", json!({}));
    assert!(!is_done && said.contains("LINKS"), "{said}");
    assert!(said.contains("the old ones serve as before"), "{said}");
    assert_eq!(stack.containers("server").await, old);
}

/// Other usual commands stop all readers at once: then every answer says when to ask again, and
/// none says that something does not exist.
pub(crate) async fn with_no_reader_clients_get_a_time_to_try_again(stack: &Stack) {
    asked_meanwhile(stack, "no reader", async |_| {
        stack.composed(&["stop", "server"]).await;
        eventually(
            "the edge to know that none is there",
            TIME_LIMIT,
            async || get(&stack.url("/films")).await.status == 503,
        )
        .await;
        for path in ["/films", "/movies", "/no/such/path"] {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                let answer = request(method, &stack.url(path), &[]).await;
                assert_eq!(answer.status, 503, "{path} {answer:?}");
                assert_eq!(missing_in(&answer), None, "{path} {answer:?}");
            }
        }
        stack.composed(&["start", "server"]).await;
    })
    .await;

    asked_meanwhile(stack, "every reader frozen", async |later| {
        let readers = stack.containers("server").await;
        let all = |what| [vec![what], readers.iter().map(String::as_str).collect()].concat();
        stack.docker.run(&all("pause")).await;
        let answer = get(&stack.url("/films")).await;
        assert!([503, 504].contains(&answer.status), "{answer:?}");
        assert_eq!(missing_in(&answer), None, "{answer:?}");
        // The clients' own requests began before this one, and may wait longer for the edge.
        eventually("a client to fail", TIME_LIMIT, async || {
            later.load(Ordering::Relaxed) > 0
        })
        .await;
        stack.docker.run(&all("unpause")).await;
    })
    .await;

    // Compose also replaces the fallback, before the readers.
    let old = stack.containers("server").await;
    stack.change("another label", json!({}));
    stack.build().await;
    asked_meanwhile(stack, "`up` with a new image", async |_| {
        stack.scale(READERS).await;
    })
    .await;
    all_are_new(stack, &old).await;
}

/// Sends requests without a pause, from before `happens` until all readers are back. `happens`
/// gets the count of answers that ask the client to come again. Panics if an answer is neither
/// good nor names a time to ask again, or if there is none of either.
async fn asked_meanwhile(stack: &Stack, what: &str, happens: impl AsyncFnOnce(&AtomicUsize)) {
    const CLIENTS: usize = 8;
    /// The pause of a client before it asks again.
    const PAUSE: Duration = Duration::from_millis(50);

    let url = stack.url("/films");
    let over = AtomicBool::new(false);
    let (good, later) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let client = async || {
        let mut connection = Connection::new();
        while !over.load(Ordering::Relaxed) {
            let answer = connection.get(&url).await;
            let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:#}"));
            if answer.status == 200 {
                good.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            assert!((502..=504).contains(&answer.status), "{what}: {answer:?}");
            assert_eq!(missing_in(&answer), None, "{what}: {answer:?}");
            later.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
    };
    let happens = async {
        happens(&later).await;
        for reader in stack.containers("server").await {
            healthy(stack, &reader).await;
        }
        readers_up(stack, READERS).await;
        eventually("good answers again", TIME_LIMIT, async || {
            get(&url).await.status == 200
        })
        .await;
        over.store(true, Ordering::Relaxed);
    };
    let clients = join_all((0..CLIENTS).map(|_| client()));
    tokio::join!(clients, happens);
    let (good, later) = (good.into_inner(), later.into_inner());
    println!("{what}: {good} requests answered, {later} to be asked again");
    assert!(good > 0 && later > 0, "{what}: {good} good, {later} later");
}

async fn all_are_new(stack: &Stack, old: &[String]) {
    let new = stack.containers("server").await;
    assert_eq!(new.len(), READERS);
    assert!(!new.iter().any(|reader| old.contains(reader)), "{new:?}");
}

/// The images that the readers run.
async fn images(stack: &Stack) -> BTreeSet<String> {
    let readers = stack.containers("server").await;
    let images = readers.iter().map(async |reader| {
        let reader = stack.docker.inspect(reader).await;
        reader["Image"].as_str().expect("an image").to_owned()
    });
    join_all(images).await.into_iter().collect()
}
