//! What the containers cannot do; the tests ask Docker, the kernel and Redis.

use std::io::ErrorKind;

use serde_json::{Value, json};

use super::stack::Stack;

const SERVICES: [&str; 6] = ["keys", "redis", "poller", "fallback", "server", "traefik"];

/// Only Traefik is root, because the Docker socket requires it. Only Redis can write, and only to
/// its data. No container has or gets a capability, and each has limits. Only Traefik has ports, on
/// the loopback.
pub(crate) async fn holds_for_every_container(stack: &Stack) {
    for service in SERVICES {
        for id in stack.containers(service).await {
            let container = stack.docker.inspect(&id).await;
            is_confined(service, &container);
            if service != "keys" {
                is_so_for_the_kernel(service, &container);
            }
        }
    }
    // Readers cannot connect out, and Redis accepts no outside connection: these networks have no
    // gateway.
    for network in [stack.named("cache"), stack.edge()] {
        let found = stack.docker.inspect(&network).await;
        assert_eq!(found["Internal"], true, "{network}");
    }
    let networks = async |service| {
        let id = stack.containers(service).await.remove(0);
        let container = stack.docker.inspect(&id).await;
        let networks = container["NetworkSettings"]["Networks"].as_object();
        let mut names: Vec<_> = networks.expect("networks").keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(networks("redis").await, [stack.named("cache")]);
    assert_eq!(networks("fallback").await, [stack.edge()]);
    assert_eq!(
        networks("server").await,
        [stack.edge(), stack.named("cache")]
    );
}

/// Tries to write through each container's own mounts as root of this machine: a write that fails
/// for root on a read-only file system fails for every user in the container. The kernel allows
/// writes only to volumes and to places that disappear with the container.
pub(crate) async fn nothing_can_be_written_outside_of_volumes(stack: &Stack) {
    for service in SERVICES.into_iter().filter(|service| *service != "keys") {
        for id in stack.containers(service).await {
            let container = stack.docker.inspect(&id).await;
            let process = format!("/proc/{}", container["State"]["Pid"]);
            let root = format!("{process}/root");
            let volumes: &[&str] = if service == "redis" { &["/data"] } else { &[] };
            for folder in folders(&root) {
                let is_volume = volumes.iter().any(|volume| folder.starts_with(volume));
                let file = format!("{root}{folder}/written-by-a-test");
                match std::fs::write(&file, "") {
                    Ok(()) => {
                        std::fs::remove_file(&file).expect("what was written can be removed");
                        assert!(is_volume, "{service} can write to {folder}");
                    }
                    Err(error) => {
                        assert!(!is_volume, "{service} cannot write to {folder}: {error}");
                        let kind = error.kind();
                        assert_eq!(kind, ErrorKind::ReadOnlyFilesystem, "{service} {folder}");
                    }
                }
            }
            let mounts = std::fs::read_to_string(format!("{process}/mounts")).expect("mounts");
            let writable = writable_mounts(&mounts);
            assert_eq!(writable, volumes, "{service}:\n{mounts}");
        }
    }
}

/// The folders at the top and one level below, without the kernel's own file systems.
fn folders(root: &str) -> Vec<String> {
    let below = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(format!("{root}{folder}")).expect("a folder");
        entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
            .filter(|folder| !["/proc", "/sys", "/dev"].contains(&folder.as_str()))
            .collect()
    };
    let top = below("");
    let deeper = top.iter().flat_map(|folder| below(folder));
    let mut all: Vec<_> = deeper.collect();
    all.extend(top);
    all.push(String::new());
    all
}

/// The writable mounts in a list of mounts. Leaves out the kernel's own, devices, and the covers
/// over parts of /proc and /sys: those are in memory and only root can write there.
fn writable_mounts(mounts: &str) -> Vec<&str> {
    const KERNELS: [&str; 6] = ["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"];
    let mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    mounts
        .filter(|mount| {
            let (kind, options) = (mount[2], mount[3]);
            let has = |wanted: &str| options.split(',').any(|option| option == wanted);
            has("rw") && !KERNELS.contains(&kind) && !(kind == "tmpfs" && has("mode=755"))
        })
        .map(|mount| mount[1])
        .collect()
}

pub(crate) fn is_confined(service: &str, container: &Value) {
    let host = &container["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true, "{service}");
    assert_eq!(host["CapDrop"], json!(["ALL"]), "{service}");
    assert_eq!(host["CapAdd"], json!(null), "{service}");
    let security = host["SecurityOpt"].as_array().expect("options");
    assert!(
        security.contains(&json!("no-new-privileges:true")),
        "{service}"
    );
    for limit in ["Memory", "PidsLimit"] {
        let limit = host[limit].as_u64();
        assert!(limit.is_some_and(|limit| limit > 0), "{service}");
    }
    assert_eq!(
        host["LogConfig"]["Config"]["max-size"], "10m",
        "{service}'s log has an end"
    );

    let mounts = container["Mounts"].as_array().expect("mounts");
    let writable: Vec<_> = mounts
        .iter()
        .filter(|mount| mount["RW"] == true)
        .map(|mount| mount["Destination"].as_str().expect("a path"))
        .collect();
    let expected: &[&str] = match service {
        "keys" | "redis" => &["/data"],
        "prometheus" => &["/prometheus"],
        _ => &[],
    };
    assert_eq!(writable, expected, "what {service} can write to");

    let published = host["PortBindings"].as_object().expect("ports");
    let addresses: Vec<_> = published
        .values()
        .flat_map(|bindings| bindings.as_array().expect("bindings"))
        .map(|binding| &binding["HostIp"])
        .collect();
    let expected: &[&str] = match service {
        "traefik" => &["127.0.0.1", "127.0.0.1"],
        "prometheus" => &["127.0.0.1"],
        _ => &[],
    };
    assert_eq!(addresses, expected, "{service}");
}

pub(crate) fn is_so_for_the_kernel(service: &str, container: &Value) {
    let status = format!("/proc/{}/status", container["State"]["Pid"]);
    let status = std::fs::read_to_string(status).expect("a process of this machine");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}")).trim()
    };
    let uid = match service {
        "redis" => "999",
        "poller" => "65532",
        "server" => "65533",
        "fallback" | "prometheus" => "65534",
        _ => "0",
    };
    assert_eq!(
        field("Uid:").split_whitespace().next(),
        Some(uid),
        "{service}"
    );
    assert_eq!(field("NoNewPrivs:"), "1", "{service}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{service} {set}");
    }
}

/// Readers can read what they serve. Only the poller can do anything else.
pub(crate) async fn redis_gives_each_user_only_its_permissions(stack: &Stack) {
    let redis = stack.container("redis").await;
    let ask = async |who: &str, command: &str| {
        let log_in = match who {
            "nobody" => (String::new(), String::new()),
            // In the environment, because other users can see command lines.
            who => (
                format!("REDISCLI_AUTH=$(sed 's/.*:\\(.*\\)@.*/\\1/' /run/keys/{who}-url)"),
                format!("--user {who}"),
            ),
        };
        // A subscription must end after a time limit.
        let line = format!("{} timeout 5 redis-cli {} {command}", log_in.0, log_in.1);
        let exec = ["exec", &redis, "sh", "-c", &line];
        stack.docker.attempt(&exec).await.1
    };
    assert_eq!(ask("server", "PING").await, "PONG");
    assert!(ask("server", "GET {ghibli}:status").await.starts_with('{'));
    for refused in [
        "SET {ghibli}:status x",
        "DEL {ghibli}:snapshot",
        "PUBLISH {ghibli}:changed 1",
        "EVAL 'return 1' 0",
        "GET other",
        "SUBSCRIBE other",
        "KEYS '*'",
        "FLUSHALL",
        "CONFIG GET '*'",
        "ACL LIST",
    ] {
        let said = ask("server", refused).await;
        assert!(said.starts_with("NOPERM"), "{refused}: {said}");
    }
    for refused in ["SET other x", "FLUSHALL", "CONFIG GET '*'", "ACL LIST"] {
        let said = ask("poller", refused).await;
        assert!(said.starts_with("NOPERM"), "{refused}: {said}");
    }
    assert!(ask("nobody", "PING").await.starts_with("NOAUTH"));

    // Each of the two can read its own login, but not the other's.
    let keys = format!("{}:/keys:ro", stack.named("keys"));
    let image = stack.docker.inspect(&redis).await["Config"]["Image"].take();
    let image = image.as_str().expect("an image");
    for (user, file, may) in [
        ("65532:65532", "poller-url", true),
        ("65532:65532", "server-url", false),
        ("65533:65533", "server-url", true),
        ("65533:65533", "poller-url", false),
        ("65533:65533", "users.acl", false),
    ] {
        let file = format!("/keys/{file}");
        let run = ["run", "--rm", "--network", "none", "--user", user];
        let look = ["--volume", &keys, image, "test", "-r", &file];
        let (can, said) = stack.docker.attempt(&[&run[..], &look[..]].concat()).await;
        assert_eq!(can, may, "{user} {file}: {said}");
    }
}

/// The passwords come first, then Redis, then its clients, then Traefik.
pub(crate) async fn started_in_order(stack: &Stack) {
    let at = async |service, event: &str| {
        let id = stack.containers(service).await.remove(0);
        let container = stack.docker.inspect(&id).await;
        container["State"][event]
            .as_str()
            .expect("a time")
            .to_owned()
    };
    let order = [
        at("keys", "FinishedAt").await,
        at("redis", "StartedAt").await,
        at("server", "StartedAt").await,
        at("traefik", "StartedAt").await,
    ];
    // RFC 3339 times in UTC sort in time order.
    assert!(order.is_sorted(), "{order:?}");
    assert!(at("fallback", "StartedAt").await < at("server", "StartedAt").await);
    assert!(at("redis", "StartedAt").await < at("poller", "StartedAt").await);
}
