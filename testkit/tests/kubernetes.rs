//! The manifests of `deploy/kubernetes`: kubectl renders them, the schemas of Kubernetes accept them,
//! and only pollers reach the internet.
//!
//! Needs no cluster. Nothing here shows that the chart of Redis accepts its values.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::cache::CacheUrl;
use testkit::process::installed;
use testkit::skip;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes");

/// A version that the manifests must fit. The `sleep` of `preStop` needs 1.30.
const KUBERNETES: &str = "1.34";

fn has(program: &str) -> bool {
    let found = installed(program).next().is_some();
    if !found {
        skip(
            "kubernetes",
            &format!("{program} is missing; .ci/run installs it"),
        );
    }
    found
}

/// What `kubectl kustomize` renders, as YAML.
fn rendered(folder: &str) -> String {
    let folder = format!("{FOLDER}/{folder}");
    let output = Command::new("kubectl")
        .args(["kustomize", &folder])
        .output();
    said(&output.unwrap())
}

/// The same, as JSON objects. kubectl itself turns YAML into JSON, without a cluster.
fn objects(yaml: &str) -> Vec<Value> {
    let mut child = Command::new("kubectl")
        .args([
            "annotate",
            "--local",
            "--filename=-",
            "--output=json",
            "x=y",
        ])
        .env("KUBECONFIG", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(yaml.as_bytes())
        .unwrap();
    let printed = said(&child.wait_with_output().unwrap());
    let objects = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
    objects.map(Result::unwrap).collect()
}

#[track_caller]
fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What the schemas of Kubernetes find wrong in a document, or in several.
fn faults(yaml: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut validate = Command::new("kubernetes-validate");
    validate
        .args(["--strict", "--no-warn", "-k", KUBERNETES])
        .arg(file);
    let output = validate.output().unwrap();
    if output.status.success() {
        return String::new();
    }
    format!(
        "{}{}!",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_manifests_fit_the_schemas() {
    if !has("kubectl") || !has("kubernetes-validate") {
        return;
    }
    let mirror = rendered("");
    assert_eq!(faults(&mirror), "");
    // The schemas know nothing of the operator's own kind.
    let monitoring = rendered("monitoring");
    let known: Vec<_> = monitoring
        .split("\n---\n")
        .filter(|document| !document.contains("kind: ServiceMonitor"))
        .collect();
    assert_eq!(faults(&known.join("\n---\n")), "");
    assert_eq!(faults(&secrets()), "");

    // The check must be able to fail.
    assert_ne!(faults(&mirror.replace("replicas: 2", "replicas: two")), "");
    assert_ne!(faults(&mirror.replace("replicas: 2", "replicants: 2")), "");
}

/// Whether a rule leads out of the cluster.
fn leads_out(policy: &Value) -> bool {
    let rules = policy["spec"]["egress"].as_array().into_iter().flatten();
    let mut rules = rules.map(|rule| rule["to"].as_array().map_or(&[][..], Vec::as_slice));
    rules.any(|to| to.is_empty() || to.iter().any(|peer| peer["ipBlock"].is_object()))
}

#[test]
fn only_pollers_reach_the_internet() {
    if !has("kubectl") {
        return;
    }
    let all = objects(&rendered(""));
    let of_kind = |kind: &'static str| all.iter().filter(move |it| it["kind"] == kind);
    let nothing = of_kind("NetworkPolicy").find(|it| it["metadata"]["name"] == "nothing");
    let nothing = &nothing.unwrap()["spec"];
    assert_eq!(
        *nothing,
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    );
    let out: Vec<_> = of_kind("NetworkPolicy")
        .filter(|it| leads_out(it))
        .collect();
    assert_eq!(out.len(), 1, "{out:?}");
    assert_eq!(
        out[0]["spec"]["podSelector"],
        json!({"matchLabels": {"app.kubernetes.io/name": "ghibli-poller"}})
    );
    let pollers: Vec<_> = of_kind("Deployment")
        .filter(|it| {
            let labels = &it["spec"]["template"]["metadata"]["labels"];
            labels["app.kubernetes.io/name"] == "ghibli-poller"
        })
        .map(|it| it["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(pollers, ["poller"]);
}

#[test]
fn every_container_is_locked_and_has_this_version() {
    if !has("kubectl") {
        return;
    }
    let all = objects(&rendered(""));
    let deployments = all.iter().filter(|it| it["kind"] == "Deployment");
    let mut count = 0;
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            assert!(container["resources"]["limits"]["memory"].is_string());
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                assert!(container[probe].is_object(), "{probe}");
            }
            let image = container["image"].as_str().unwrap();
            assert!(
                image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))),
                "{image}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 2);
}

fn secrets() -> String {
    let script = Path::new(FOLDER).join("make-secrets.sh");
    said(&Command::new("sh").arg(script).output().unwrap())
}

/// The value of a key in the printed secrets.
fn value_of(secrets: &str, key: &str) -> String {
    let start = format!("  {key}: ");
    let line = secrets.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().to_owned()
}

#[test]
fn the_secrets_are_new_each_time_and_fit_together() {
    let secrets = [secrets(), secrets()];
    assert_ne!(secrets[0], secrets[1]);
    for user in ["poller", "server"] {
        let urls = secrets
            .each_ref()
            .map(|all| value_of(all, &format!("{user}-url")));
        assert_ne!(urls[0], urls[1]);
        let _: CacheUrl = urls[0].parse().unwrap();
        let (_, rest) = urls[0].split_once(&format!("://{user}:")).unwrap();
        let (password, _) = rest.split_once('@').unwrap();
        let hash = format!("{:x}", Sha256::digest(password));
        let rule = format!("user {user} reset on #{hash} ");
        assert!(secrets[0].contains(&rule), "{user}");
    }
}
