//! The build uses only checked parts: images with an explicit name, crates from the lock file.
//! Every test that `SECURITY.md` names must exist.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use testkit::process::cargo;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The images that a Dockerfile and a Compose file name, except those built here.
fn foreign_images(dockerfile: &str, compose: &str) -> Vec<String> {
    // `scratch` is the empty image.
    let mut stages = BTreeSet::from(["scratch"]);
    let mut images = Vec::new();
    for line in dockerfile.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["FROM", image, rest @ ..] = words.as_slice() {
            if !stages.contains(image) {
                images.push((*image).to_owned());
            }
            if let ["AS", stage] = rest {
                stages.insert(*stage);
            }
        }
    }
    for line in compose.lines() {
        let Some(image) = line.trim().strip_prefix("image:") else {
            continue;
        };
        // `&redis ${REDIS_IMAGE:-redis:7.2}` names one, and `*redis` the same again.
        let image = image.split_whitespace().last().unwrap();
        let default = image.split_once(":-").map(|(_, default)| default);
        let image = default.map_or(image, |image| image.trim_end_matches('}'));
        if !image.starts_with('*') && !image.starts_with("ghibli-") {
            images.push(image.to_owned());
        }
    }
    images
}

/// Whether a name fixes the image: by a tag other than `latest`, or by a digest.
fn is_explicit(image: &str) -> bool {
    let digest = Regex::new("@sha256:[0-9a-f]{64}$").unwrap();
    let tag = Regex::new(r"^[^@]*[^@/:]:([A-Za-z0-9_][A-Za-z0-9_.-]*)$").unwrap();
    let has_tag = tag
        .captures(image)
        .is_some_and(|found| &found[1] != "latest");
    digest.is_match(image) || has_tag
}

#[test]
fn every_foreign_image_is_named_once_and_explicitly() {
    let images = foreign_images(&read("Dockerfile"), &read("docker-compose.yml"));
    assert_eq!(images.len(), 6, "{images:?}");
    let different: BTreeSet<_> = images.iter().collect();
    assert_eq!(different.len(), images.len(), "{images:?}");
    for image in &images {
        assert!(is_explicit(image), "{image}");
    }

    for vague in [
        "redis",
        "redis:latest",
        "registry:5000/redis",
        "redis@sha256:12",
    ] {
        assert!(!is_explicit(vague), "{vague}");
    }
    let digest = format!("redis:7.2@sha256:{}", "0".repeat(64));
    assert!(is_explicit(&digest) && is_explicit("registry:5000/redis:7.2"));
    let found = foreign_images(
        "FROM a:1 AS b\nFROM b AS c\nFROM scratch AS e\nFROM d",
        "  image: *x\n  image: e:2",
    );
    assert_eq!(found, ["a:1", "d", "e:2"]);
}

/// Without `--locked`, Cargo would silently update a lock file that does not match the manifest.
/// Scripts say it in each call; everything else runs the same `cargo()`.
#[test]
fn every_build_uses_the_lock_file() {
    let calls =
        Regex::new(r"cargo (\+\S+ )?(build|check|install|run|test|clippy|doc)\b.*").unwrap();
    let mut found = 0;
    let workflows = [
        ".github/workflows/test.yml",
        ".github/workflows/release.yml",
    ];
    for path in ["Dockerfile", ".ci/run"].into_iter().chain(workflows) {
        for call in calls.find_iter(&read(path)) {
            let call = call.as_str();
            assert!(call.contains("--locked"), "{path}: {call}");
            found += 1;
        }
    }
    assert!(found >= 3, "{found} calls");
    assert!(read(".cargo/config.toml").contains("\"run --locked "));
    assert!(cargo().get_args().any(|argument| argument == "--locked"));
}

/// The tests in a text, written as `path/to/file.rs::function`.
fn named_tests(text: &str) -> Vec<(String, String)> {
    let name = Regex::new(r"`([a-z0-9_/]+\.rs)::([a-z0-9_]+)`").unwrap();
    name.captures_iter(text)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect()
}

/// Whether a file has this function: a test, or a function that a test calls. The compiler warns of
/// any other function in a test's file, because nothing uses it.
fn has_function(path: &str, function: &str) -> bool {
    let code = std::fs::read_to_string(top().join(path)).unwrap_or_default();
    code.contains(&format!("fn {function}("))
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let text = read("SECURITY.md");
    let named = named_tests(&text);
    assert!(named.len() > 30, "{}", named.len());
    assert_eq!(
        text.matches(".rs::").count(),
        named.len(),
        "some are misspelt"
    );
    for (path, function) in &named {
        assert!(has_function(path, function), "{path}::{function}");
    }

    // The check must also be able to fail.
    assert!(!has_function("testkit/tests/supply.rs", "no_such_test"));
    assert!(!has_function("testkit/tests/no_such_file.rs", "read"));
}

/// A tag can be moved to other code; the hash of a commit cannot.
#[test]
fn every_foreign_action_is_named_by_its_commit() {
    let uses = Regex::new(r"uses: (\S+)(.*)").unwrap();
    let pinned = Regex::new(r"^[^@]+@[0-9a-f]{40}$").unwrap();
    let files = [
        ".github/workflows/test.yml",
        ".github/workflows/release.yml",
        ".github/actions/tools/action.yml",
    ];
    let mut found = 0;
    for path in files {
        for one in uses.captures_iter(&read(path)) {
            let (action, comment) = (&one[1], &one[2]);
            let is_ours = action.starts_with("./");
            let is_pinned = pinned.is_match(action) && comment.starts_with(" # v");
            assert!(is_ours || is_pinned, "{path}: {action}{comment}");
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
    assert!(!pinned.is_match("actions/checkout@v4"));
}

#[test]
fn people_find_security_md() {
    assert!(read("README.md").contains("](SECURITY.md)"));
}
