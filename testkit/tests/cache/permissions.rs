//! The two Redis users: each may do what its process does; the server's user may do nothing else.

use std::time::Duration;

use testkit::client::raw;
use testkit::process::{Poller, Process, Server, binaries};
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};

use super::{FILM, Mirror, times};

const POLLER: &str = "~{ghibli}:* ~{ghibli-drill}:* &{ghibli}:changed &{ghibli-drill}:changed \
                      +ping +get +getrange +set +del +lpush +ltrim +lrange +publish +subscribe \
                      +evalsha +script|load";
const SERVER: &str = "%R~{ghibli}:* &{ghibli}:changed +ping +get +subscribe";

pub(crate) async fn redis_with_users() -> Redis {
    let redis = Redis::start().await;
    for (user, permissions) in [("poller", POLLER), ("server", SERVER)] {
        let user = ["ACL", "SETUSER", user, "on", ">s3cret"];
        let permissions: Vec<_> = permissions.split(' ').collect();
        let reply = redis.cli(&[&user, &permissions[..]].concat()).await;
        assert_eq!(reply, "OK");
    }
    redis
}

#[test]
fn the_readme_shows_these_permissions_and_the_stacks_use_them() {
    let readme = include_str!("../../../README.md");
    let compose = include_str!("../../../deploy/redis/make-keys.sh");
    let kubernetes = include_str!("../../../deploy/kubernetes/make-secrets.sh");
    for (user, permissions) in [("poller", POLLER), ("server", SERVER)] {
        let line = format!("\nuser {user} on >PASSWORD {permissions}\n");
        assert!(readme.contains(&line), "{line}");
        for stack in [compose, kubernetes] {
            assert!(stack.contains(&format!(") {permissions}\n")), "{stack}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn these_permissions_are_enough_and_no_command_is_refused() {
    let redis = redis_with_users().await;
    let upstream = Upstream::start(catalogue());
    let of = |user: &str| redis.url().replace("://", user);
    let poller = Poller::new(&upstream.url(), &of("://poller:s3cret@"));
    let server = Server::new(&of("://server:s3cret@"));
    let mut mirror = Mirror::of(upstream, poller, &server, 2).await;
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
    // What people do with the same user.
    let environment = [
        ("CACHE_URL", of("://poller:s3cret@")),
        ("ADMIN_ADDR", mirror.poller.admin_address.clone()),
    ];
    for command in [&["history"][..], &["drill"], &["export", "-"]] {
        let mut run = Process::spawn("command", &binaries().poller, command, &environment);
        let code = run.wait().await.code();
        assert_eq!(code, Some(0), "{command:?}: {:?}", run.stderr());
    }
    assert_eq!(redis.cli(&["LLEN", "{ghibli}:history"]).await, "1");
    // At its end, the poller releases the lease.
    let poller = &mut mirror.poller.process;
    poller.signal(testkit::process::Signal::Term);
    assert!(poller.wait().await.success());
    assert_eq!(redis.cli(&["EXISTS", "{ghibli}:lease"]).await, "0");
    // Without notices, readers check that they still listen.
    redis.cli(&["CONFIG", "RESETSTAT"]).await;
    let commands = async || redis.cli(&["INFO", "commandstats"]).await;
    let is_asked = async || commands().await.contains("cmdstat_ping:");
    eventually("a heartbeat", TIME_LIMIT, is_asked).await;
    assert_eq!(redis.cli(&["ACL", "LOG"]).await, "", "nothing was refused");
}

/// If the operator forgot this permission, the reader reports it and still stays up to date.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_may_not_subscribe_says_so_once_and_looks_instead() {
    let redis = redis_with_users().await;
    redis.cli(&["ACL", "SETUSER", "server", "-subscribe"]).await;
    let upstream = Upstream::start(catalogue());
    let poller = Poller::new(&upstream.url(), &redis.url());
    let server = Server::new(&redis.url().replace("://", "://server:s3cret@"));
    let mirror = Mirror::of(upstream, poller, &server, 1).await;
    let reader = &mirror.readers[0].process;
    let warning = "notices_refused";
    let line = reader.wait_for_log(warning, |_| true).await;
    let reason = line["reason"].as_str().expect("a reason");
    assert!(reason.contains("subscribe"), "{reason}");
    mirror.upstream.release(FILM);
    mirror.shows(FILM).await;
    assert_eq!(times(reader, warning), 1);
}

/// Every command that Redis counts as writing, really sent, with as many arguments as it takes.
#[tokio::test]
async fn the_servers_user_cannot_write() {
    let redis = redis_with_users().await;
    redis.cli(&["SET", "{ghibli}:snapshot", "as it was"]).await;
    let listed = redis.cli(&["ACL", "CAT", "write"]).await;
    let mut commands: Vec<_> = listed.lines().collect();
    assert!(
        commands.len() > 80 && commands.contains(&"set"),
        "{commands:?}"
    );
    // These commands do not write, but make others write or mislead readers.
    commands.extend([
        "eval",
        "evalsha",
        "fcall",
        "script|load",
        "publish",
        "spublish",
        "multi",
    ]);
    commands.extend([
        "config|set",
        "acl|setuser",
        "client|kill",
        "replicaof",
        "shutdown",
    ]);

    let mut script = "AUTH server s3cret\r\n".to_owned();
    for command in &commands {
        let info = redis.cli(&["COMMAND", "INFO", command]).await;
        let arity: i32 = info.lines().nth(1).unwrap_or("?").parse().expect(command);
        let name = command.replace('|', " ");
        let missing = arity.unsigned_abs() as usize - name.split(' ').count();
        script += &name;
        script += &" {ghibli}:snapshot".repeat(missing);
        script += "\r\n";
    }
    script += "GET {ghibli}:snapshot\r\nQUIT\r\n";
    let address = ("127.0.0.1", redis.port());
    let replies = raw(address, script.as_bytes(), Duration::from_secs(10)).await;
    let replies = String::from_utf8(replies).unwrap();
    let answers: Vec<_> = replies.lines().collect();
    assert_eq!(answers[0], "+OK");
    for (command, answer) in commands.iter().zip(&answers[1..]) {
        assert!(answer.starts_with("-NOPERM"), "{command}: {answer}");
    }
    let rest = &answers[commands.len() + 1..];
    assert_eq!(rest, ["$9", "as it was", "+OK"]);
    println!("{} commands refused", commands.len());
}
