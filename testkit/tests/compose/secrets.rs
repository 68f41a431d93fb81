//! The two passwords are only where they belong; the test searches for them everywhere else.

use std::fs;
use std::path::Path;

use testkit::client::get;

use super::stack::Stack;

const SERVICES: [&str; 6] = ["keys", "redis", "poller", "fallback", "server", "traefik"];

/// Not in a description of a container or image, a log, an answer, or a process's command line or
/// environment.
pub(crate) async fn are_in_their_volume_and_nowhere_else(stack: &Stack) {
    let passwords = passwords(stack).await;
    let is_clean = |what: &str, text: &str| {
        let found = passwords.iter().any(|password| text.contains(password));
        assert!(!found, "a password is in {what}");
    };
    for service in SERVICES {
        for container in stack.containers(service).await {
            let described = stack.docker.inspect(&container).await;
            is_clean(service, &described.to_string());
            let image = described["Image"].as_str().expect("an image");
            for look in [
                &["logs", container.as_str()][..],
                &["inspect", image],
                &["history", "--no-trunc", image],
            ] {
                let (can, said) = stack.docker.attempt(look).await;
                // The password service logs nothing at all.
                let is_there = service == "keys" || !said.is_empty();
                assert!(can && is_there, "{service} {look:?}: {said}");
                is_clean(&format!("{service} {look:?}"), &said);
            }
        }
    }
    for path in ["/movies", "/films", "/docs", "/openapi.json"] {
        is_clean(path, &get(&stack.url(path)).await.text());
    }
    for path in ["/api/rawdata", "/metrics"] {
        is_clean(path, &get(&stack.traefik_url(path)).await.text());
    }
    let processes = processes(|process, file, text| is_clean(&format!("{process}/{file}"), text));
    assert!(processes > SERVICES.len(), "{processes} processes");
}

/// Reads the passwords through standard output only, so that this test does not leak them itself.
async fn passwords(stack: &Stack) -> Vec<String> {
    let redis = stack.container("redis").await;
    let look = "cat /run/keys/poller-url /run/keys/server-url";
    let urls = stack.docker.run(&["exec", &redis, "sh", "-c", look]).await;
    let password = |url: &str| {
        Some(
            url.split_once("://")?
                .1
                .split_once(':')?
                .1
                .split_once('@')?
                .0
                .to_owned(),
        )
    };
    let passwords: Vec<_> = urls.lines().filter_map(password).collect();
    assert_eq!(
        passwords.iter().map(String::len).collect::<Vec<_>>(),
        [64, 64]
    );
    passwords
}

/// Checks every process of this machine, also those in containers. Returns how many.
fn processes(look: impl Fn(&str, &str, &str)) -> usize {
    let all = fs::read_dir("/proc").expect("the kernel's list of processes");
    let all = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let processes = all.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let mut count = 0;
    for process in processes {
        for file in ["cmdline", "environ"] {
            // The process may have ended, or belong to another user.
            let text = fs::read(Path::new("/proc").join(&process).join(file)).unwrap_or_default();
            look(&process, file, &String::from_utf8_lossy(&text));
        }
        count += 1;
    }
    count
}
