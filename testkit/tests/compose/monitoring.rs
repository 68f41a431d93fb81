//! The profile `monitoring`: Prometheus. Not Grafana, whose image not every machine can fetch.

use std::collections::BTreeMap;

use http::Method;
use testkit::client::{request, try_get};
use testkit::{TIME_LIMIT, eventually};

use super::stack::Stack;
use super::{READERS, confinement, healthy};

/// Prometheus finds every process, once each, and has the alerts. Nobody but the poller's own
/// container can send the poller admin commands.
pub(crate) async fn prometheus_sees_everything_and_changes_nothing(stack: &Stack) {
    let profile = ["--profile", "monitoring"];
    let up = ["up", "--detach", "--no-build", "prometheus"];
    stack.composed(&[&profile[..], &up].concat()).await;
    let prometheus = stack.container("prometheus").await;
    healthy(stack, &prometheus).await;
    let container = stack.docker.inspect(&prometheus).await;
    confinement::is_confined("prometheus", &container);
    confinement::is_so_for_the_kernel("prometheus", &container);

    let wanted = BTreeMap::from([
        ("ghibli-edge".to_owned(), 1),
        ("ghibli-poller".to_owned(), 1),
        ("ghibli-server".to_owned(), READERS),
    ]);
    let url = stack.prometheus_url("/api/v1/targets");
    let targets = eventually("all targets up", TIME_LIMIT, async || {
        let targets = try_get(&url).await.ok()?.json()["data"]["activeTargets"].take();
        let mut up = BTreeMap::new();
        for target in targets.as_array()? {
            if target["health"] == "up" {
                let job = target["labels"]["job"].as_str()?.to_owned();
                *up.entry(job).or_insert(0) += 1;
            }
        }
        (up == wanted).then_some(targets)
    })
    .await;
    let rules = try_get(&stack.prometheus_url("/api/v1/rules")).await;
    let rules = rules.expect("an answer").json();
    assert!(rules["data"]["groups"][0]["rules"].is_array(), "{rules}");

    let targets = targets.as_array().expect("a list").iter();
    let mut poller = targets.filter(|target| target["labels"]["job"] == "ghibli-poller");
    let address = poller.next().expect("the poller")["scrapeUrl"].as_str();
    let command = address.expect("a URL").replace("/metrics", "/prune");
    let header = [("x-ghibli-order", "1")];
    let refused = request(Method::POST, &command, &header).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    // The same command from inside. Nothing is withdrawn, so it changes nothing.
    let prune = ["exec", "-T", "poller", "ghibli-poller", "prune", "--yes"];
    stack.composed(&prune).await;

    let remove = ["rm", "--force", "--stop", "prometheus"];
    stack.composed(&[&profile[..], &remove].concat()).await;
}
