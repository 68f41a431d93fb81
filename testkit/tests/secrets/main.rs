//! Passwords appear only where operators put them: not in logs, command lines, answers or the
//! cache, in success or failure, with the most detailed logging.

mod forms;

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::client::{get, raw};
use testkit::process::{Poller, Process, RunningPoller, RunningServer, Server};
use testkit::redis::{Certificates, Redis};
use testkit::tls::Tls;
use testkit::upstream::{Fault, Upstream};
use testkit::{TIME_LIMIT, catalogue, free_port};

use forms::{CORE, PASSWORD, encoded, is_clean};

/// Checks a process's output and command line.
fn process_is_clean(name: &str, process: &Process) {
    let (stdout, stderr) = (process.stdout(), process.stderr());
    assert!(
        stdout.len() + stderr.len() < 10_000,
        "{name}: some lines are lost"
    );
    is_clean(name, &[stdout, stderr].concat().join("\n"));
    // Empty for a process that has ended.
    let command_line = fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap_or_default();
    is_clean(name, &String::from_utf8_lossy(&command_line));
}

/// Checks every answer, with its headers.
async fn answers_are_clean(base: &str, paths: &[&str]) {
    for path in paths {
        let answer = get(&format!("{base}{path}")).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        is_clean(path, &format!("{:?}\n{text}", answer.headers));
    }
}

const PUBLIC: [&str; 9] = [
    "/",
    "/movies",
    "/films",
    "/db",
    "/docs",
    "/openapi.json",
    "/nothing",
    "/films?_limit=x",
    "/films?_embed=people",
];
const ADMIN: [&str; 3] = ["/livez", "/readyz", "/nothing"];

async fn all_is_clean(poller: &RunningPoller, server: &RunningServer) {
    process_is_clean("the poller", &poller.process);
    process_is_clean("the server", &server.process);
    answers_are_clean(&server.url(), &PUBLIC).await;
    answers_are_clean(&server.admin_url(), &ADMIN).await;
    answers_are_clean(&poller.admin_url(), &ADMIN).await;
}

fn poller(upstream: &str, cache: &str) -> Poller {
    Poller::new(upstream, cache)
        .schedule("* * * * * *")
        .env("UPSTREAM_TIMEOUT", "3s")
        .env("LOG_LEVEL", "trace")
}

fn server(cache: &str) -> Server {
    Server::new(cache).env("LOG_LEVEL", "trace")
}

/// A Redis whose two users have the password. The test sets it over a connection, because everybody
/// can see a command line.
async fn redis_with_users(extra: &[&str]) -> Redis {
    let redis = Redis::start_with(extra).await;
    let mut orders = Vec::new();
    for user in ["poller", "server"] {
        let words = [
            "ACL",
            "SETUSER",
            user,
            "on",
            &format!(">{PASSWORD}"),
            "~*",
            "&*",
            "+@all",
        ];
        orders.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            orders.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
    }
    orders.extend(b"QUIT\r\n");
    let replies = raw(("127.0.0.1", redis.port()), &orders, TIME_LIMIT).await;
    assert_eq!(replies, b"+OK\r\n+OK\r\n+OK\r\n");
    redis
}

fn url(user: &str, password: &str, port: u16) -> String {
    format!("redis://{user}:{}@127.0.0.1:{port}", encoded(password))
}

/// Passwords in variables, and from files.
#[tokio::test(flavor = "multi_thread")]
async fn good_operation_shows_no_password() {
    let redis = redis_with_users(&[]).await;
    let upstream = Upstream::start(catalogue());
    let of = |user| url(user, PASSWORD, redis.port());
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    for name in ["poller", "server"] {
        fs::write(file(name), format!("{}\n", of(name))).unwrap();
    }
    for from_files in [false, true] {
        redis.cli(&["FLUSHALL"]).await;
        let (poller, server) = if from_files {
            (
                poller(&upstream.url(), "").env("CACHE_URL_FILE", file("poller")),
                server("").env("CACHE_URL_FILE", file("server")),
            )
        } else {
            (
                poller(&upstream.url(), &of("poller")),
                server(&of("server")),
            )
        };
        let (poller, server) = (poller.start().await, server.start().await);
        poller.synced("committed").await;
        server.loaded().await;
        all_is_clean(&poller, &server).await;
    }
    for key in ["snapshot", "status", "lease"] {
        is_clean(
            key,
            &redis.cli(&["GET", &format!("{{ghibli}}:{key}")]).await,
        );
    }
}

/// A cache that refuses the login, is not there, or is another server.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_in_trouble_shows_no_password() {
    let (certificates, port) = (Certificates::make(), free_port());
    let arguments = certificates.arguments(port);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let redis = redis_with_users(&arguments).await;
    // This Redis does not know the command, and its error repeats the arguments.
    let parrot = Redis::start_with(&["--rename-command", "AUTH", ""]).await;
    let (upstream, nobody) = (Upstream::start(catalogue()), free_port());
    let plain = |user: &str| url(user, PASSWORD, redis.port());
    let wrong = format!("{PASSWORD}-");
    let sentinel = |of: &str| of.replacen("redis://", "redis+sentinel://", 1) + "/main";
    for (what, cache) in [
        ("wrong password", url("poller", &wrong, redis.port())),
        ("wrong user", url(&encoded(&wrong), PASSWORD, redis.port())),
        ("nobody there", url("poller", PASSWORD, nobody)),
        (
            "no such host",
            plain("poller").replace("127.0.0.1", "ghibli.invalid"),
        ),
        ("not TLS", plain("poller").replace("redis://", "rediss://")),
        (
            "a stranger",
            url("poller", PASSWORD, port).replace("redis://", "rediss://"),
        ),
        ("no sentinel", sentinel(&url("poller", PASSWORD, nobody))),
        ("a Redis as the sentinel", sentinel(&plain("poller"))),
        ("a parrot", url("poller", PASSWORD, parrot.port())),
        ("no such database", plain("poller") + "/9999"),
    ] {
        let server = server(&cache).start().await;
        let poller = poller(&upstream.url(), &cache).start().await;
        let unreadable = "cache_unreachable";
        server.process.wait_for_log(unreadable, |_| true).await;
        poller
            .process
            .wait_for_log("cache_unreachable", |_| true)
            .await;
        println!(
            "{what}: {}",
            poller
                .process
                .wait_for_log("cache_unreachable", |_| true)
                .await["reason"]
        );
        all_is_clean(&poller, &server).await;
    }
}

/// The program refuses an unusable value without repeating it.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_configuration_show_no_password() {
    let password = encoded(PASSWORD);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let port = format!("redis://poller:{password}@127.0.0.1:port");
    let mistakes = [
        ("CACHE_URL", port.clone()),
        ("CACHE_URL", PASSWORD.to_owned()),
        ("CACHE_URL", format!("redis://poller:{PASSWORD}@127.0.0.1")),
        ("CACHE_URL", format!("http://poller:{password}@127.0.0.1")),
        (
            "CACHE_URL",
            format!("redis://poller:{password}%FF@127.0.0.1"),
        ),
        ("CACHE_URL_FILE", file("malformed", port.as_bytes())),
        (
            "CACHE_URL_FILE",
            file("binary", &[CORE.as_bytes(), &[0xff]].concat()),
        ),
        // The value itself, in place of the file's name.
        (
            "CACHE_URL_FILE",
            format!("redis://poller:{password}@127.0.0.1"),
        ),
        ("GHIBLI_API", format!("ghibli://user:{password}@127.0.0.1")),
        (
            "GHIBLI_API",
            format!("https://user:{password}@127.0.0.1/?query"),
        ),
        ("GHIBLI_API", format!("https://user:{password}@")),
        ("PUBLIC_URL", format!("ftp://user:{password}@127.0.0.1")),
    ];
    for (variable, value) in mistakes {
        let cache = if variable == "CACHE_URL_FILE" {
            ""
        } else {
            "file:unused"
        };
        let mut processes = Vec::new();
        if variable != "PUBLIC_URL" {
            let poller = poller("http://127.0.0.1:1", cache).env(variable, &value);
            processes.push(poller.spawn());
        }
        if variable != "GHIBLI_API" {
            processes.push(server(cache).env(variable, &value).spawn());
        }
        for mut process in processes {
            assert_eq!(process.wait().await.code(), Some(64), "{variable}");
            let stderr = process.stderr().join("\n");
            assert!(
                stderr.contains(variable.trim_end_matches("_FILE")),
                "{stderr}"
            );
            process_is_clean(variable, &process);
        }
    }
}

/// The upstream may need a password too: only the upstream receives it.
#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_password_reaches_the_upstream_alone() {
    let upstream = Upstream::start(catalogue());
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let with_password =
        |scheme: &str, port: u16| format!("{scheme}://user:{}@127.0.0.1:{port}", encoded(PASSWORD));
    let api = with_password("http", upstream.port());
    let running = poller(&api, &cache).start().await;
    let server = server(&cache).start().await;
    running.synced("committed").await;
    server.loaded().await;
    let expected = format!("Basic {}", STANDARD.encode(format!("user:{PASSWORD}")));
    for request in upstream.requests() {
        assert_eq!(request.headers["authorization"], expected.as_str());
    }
    all_is_clean(&running, &server).await;

    // The page names the upstream, here too.
    let page = get(&format!("{}/movies", server.url())).await.text();
    assert!(
        page.contains(&format!("Source: {}", upstream.url())),
        "{page}"
    );

    let away = format!("http://127.0.0.1:{}/films", free_port());
    // The upstream repeats what it received, in every form and place.
    let repeats = |status| Fault::Exactly {
        status,
        headers: vec![
            ("content-type", format!("text/{CORE}")),
            ("location", format!("/{CORE}/{}", encoded(PASSWORD))),
            ("retry-after", CORE.to_owned()),
        ],
        body: format!("<title>{PASSWORD}</title> {expected} {}", json!(PASSWORD)).into_bytes(),
    };
    let in_the_coding = Fault::Answer {
        status: 200,
        headers: vec![("content-encoding", CORE.to_owned())],
    };
    for fault in [
        repeats(200),
        repeats(401),
        repeats(429),
        repeats(503),
        in_the_coding,
        Fault::RedirectTo(format!("http://{CORE}.invalid/{CORE}")),
        Fault::RedirectTo(format!("/films?{CORE}")),
        Fault::Status(401),
        Fault::Html,
        Fault::Refuse,
        Fault::Stall,
        Fault::RedirectTo(away),
        Fault::RedirectTo("/people".into()),
    ] {
        upstream.misbehave_on("films", fault);
        let line = running.next_sync().await;
        assert_eq!(line["outcome"], "partial", "{line}");
    }
    all_is_clean(&running, &server).await;
    for name in ["snapshot.json", "status.json", "lease"] {
        is_clean(
            name,
            &fs::read_to_string(directory.path().join(name)).unwrap(),
        );
    }

    // First no server, then a server with an untrusted certificate.
    let tls = Tls::in_front_of(upstream.port(), &Certificates::make()).await;
    let stranger = tls.url().rsplit(':').next().unwrap().parse().unwrap();
    for api in [
        with_password("http", free_port()),
        with_password("https", stranger),
    ] {
        let elsewhere = tempfile::tempdir().unwrap();
        let cache = format!("file:{}", elsewhere.path().display());
        let poller = poller(&api, &cache).start().await;
        poller.synced("failed").await;
        process_is_clean(&api, &poller.process);
        let status = fs::read_to_string(elsewhere.path().join("status.json")).unwrap();
        is_clean("status.json", &status);
    }
}

/// A proxy's password, in the usual variables: only the proxy receives it.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_password_reaches_the_proxy_alone() {
    // Answers requests for any host, as a proxy does.
    let proxy = Upstream::start(catalogue());
    let directory = tempfile::tempdir().unwrap();
    let cache = format!("file:{}", directory.path().display());
    let of = |port: u16| format!("http://user:{}@127.0.0.1:{port}", encoded(PASSWORD));
    let through =
        |variable: &str, api: &str, value: String| poller(api, &cache).env(variable, value);
    let api = "http://ghibli.invalid";
    let running = through("HTTP_PROXY", api, of(proxy.port())).start().await;
    let server = server(&cache).start().await;
    running.synced("committed").await;
    server.loaded().await;
    all_is_clean(&running, &server).await;
    let expected = format!("Basic {}", STANDARD.encode(format!("user:{PASSWORD}")));
    for request in proxy.requests() {
        assert_eq!(request.headers["proxy-authorization"], expected.as_str());
        assert!(!request.headers.contains_key("authorization"));
    }
    proxy.misbehave(Fault::Exactly {
        status: 407,
        headers: vec![("content-type", format!("text/{CORE}"))],
        body: PASSWORD.as_bytes().to_vec(),
    });
    let line = running.next_sync().await;
    assert!(
        line["reason"].as_str().unwrap().contains("status 407"),
        "{line}"
    );
    all_is_clean(&running, &server).await;
    proxy.behave();
    drop(running);
    for (variable, api, value) in [
        ("HTTP_PROXY", api, of(free_port())),
        ("HTTPS_PROXY", "https://ghibli.invalid", of(free_port())),
        ("HTTPS_PROXY", "https://ghibli.invalid", of(proxy.port())),
    ] {
        let poller = through(variable, api, value).start().await;
        poller.synced("failed").await;
        process_is_clean(variable, &poller.process);
        tokio::time::timeout(Duration::from_secs(20), async { drop(poller) })
            .await
            .unwrap();
    }
    for value in [
        format!("nonsense://{PASSWORD}"),
        format!("http://user:{PASSWORD}@127.0.0.1:port"),
    ] {
        let mut poller = through("ALL_PROXY", api, value).spawn();
        assert_eq!(poller.wait().await.code(), Some(64));
        assert!(poller.stderr().concat().contains("ALL_PROXY: expected"));
        process_is_clean("ALL_PROXY", &poller);
    }
    for name in ["snapshot.json", "status.json", "lease"] {
        is_clean(
            name,
            &fs::read_to_string(directory.path().join(name)).unwrap(),
        );
    }
}
