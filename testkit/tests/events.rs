//! `/events`: clients get every release as it comes, once, and a server with many of them stays
//! within its limits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::{Duration, Instant};

use testkit::attack::raise_open_files;
use testkit::attack::usage::Usage;
use testkit::client::{Connection, EventStream, ServerSentEvent, get, request};
use testkit::mirror::Mirror;
use testkit::process::{Process, RunningServer, Server, Signal, binaries};
use testkit::{TIME_LIMIT, eventually};

const EVENTS: &str = "/events";

/// The first film of the catalogue.
const CASTLE: &str = "2baf70d1-42bb-4437-b551-e5fed5a87abe";

async fn open(server: &RunningServer, path: &str, last: Option<&str>) -> EventStream {
    let headers: Vec<_> = last.into_iter().map(|id| ("last-event-id", id)).collect();
    let stream = EventStream::open(&server.address, path, &headers).await;
    stream.unwrap()
}

/// The releases until the next generation, and the last id.
async fn releases(stream: &mut EventStream) -> (Vec<ServerSentEvent>, String) {
    let mut releases = Vec::new();
    loop {
        let event = stream.next(TIME_LIMIT).await.expect("the stream goes on");
        match event.name.as_str() {
            "release" => releases.push(event),
            "generation" => return (releases, event.id),
            other => panic!("{other}"),
        }
    }
}

fn titles(releases: &[ServerSentEvent]) -> Vec<String> {
    let title = |event: &ServerSentEvent| event.json()["title"].as_str().unwrap().to_owned();
    releases.iter().map(title).collect()
}

#[tokio::test]
async fn a_client_that_connects_again_gets_each_release_once() {
    let mirror = Mirror::of(testkit::catalogue()).await;
    let server = mirror.server(&[]).await;
    let mut stream = open(&server, EVENTS, None).await;
    let (none, start) = releases(&mut stream).await;
    assert_eq!((none.len(), start.as_str()), (0, "0"));

    let id = mirror.upstream.release("Rain & <wind>");
    mirror.sync().await;
    let (first, last) = releases(&mut stream).await;
    let data = first[0].json();
    assert_eq!(titles(&first), ["Rain & <wind>"]);
    assert_eq!((&data["sequence"], &data["id"]), (&1.into(), &id.into()));
    let page = get(data["url"].as_str().unwrap()).await;
    assert_eq!(page.status, 200, "a client that hears of a film finds it");
    assert!(last.starts_with("1-"), "{last}");
    let films = get(&format!("{}/movies", server.url())).await.text();
    assert!(
        films.contains(&format!("data-last=\"{last}\"")),
        "the script misses no release between the page and its first event"
    );
    drop(stream);

    for title in ["Two", "Three"] {
        mirror.upstream.release(title);
        mirror.sync().await;
        server.shows(title).await;
    }
    let mut again = open(&server, EVENTS, Some(&last)).await;
    let (missed, newest) = releases(&mut again).await;
    assert_eq!(titles(&missed), ["Two", "Three"]);
    for (path, last, expected) in [
        (EVENTS, Some(newest.as_str()), &[][..]),
        (EVENTS, None, &[]),
        (EVENTS, Some("not an id"), &[]),
        ("/events?since=0", None, &["Rain & <wind>", "Two", "Three"]),
        ("/events/?since=2", None, &["Three"]),
        ("/events?since=0", Some(newest.as_str()), &[]),
    ] {
        let (got, at) = releases(&mut open(&server, path, last).await).await;
        assert_eq!(titles(&got), expected, "{path} {last:?}");
        assert!(!at.is_empty(), "{path} {last:?}");
    }
    // When the data moves without a release, a page gets an event without one.
    mirror.upstream.change("films", CASTLE, "rt_score", "12");
    mirror.sync().await;
    let (none, at) = releases(&mut again).await;
    assert_eq!((none.len(), at), (0, newest));
}

#[tokio::test]
async fn all_readers_send_the_same_events_and_a_client_may_change_between_them() {
    let mirror = Mirror::of(testkit::catalogue()).await;
    let public = [("PUBLIC_URL", "https://ghibli.example/mirror")];
    let (one, other) = (mirror.server(&public).await, mirror.server(&public).await);
    let mut streams = Vec::new();
    for server in [&one, &one, &other] {
        let mut stream = open(server, EVENTS, None).await;
        releases(&mut stream).await;
        streams.push(stream);
    }
    mirror.upstream.release("Rain");
    mirror.sync().await;
    let mut seen = Vec::new();
    for stream in &mut streams {
        seen.push(releases(stream).await);
    }
    assert!(seen.iter().all(|it| *it == seen[0]), "{seen:?}");
    let url = seen[0].0[0].json()["url"].to_string();
    assert!(
        url.contains("https://ghibli.example/mirror/movies/"),
        "{url}"
    );

    let last = &seen[0].1;
    let (none, _) = releases(&mut open(&other, EVENTS, Some(last)).await).await;
    assert_eq!(none, []);
    let (all, _) = releases(&mut open(&other, "/events?since=0", None).await).await;
    assert_eq!(all, seen[0].0);
}

/// Numbers start again, and mean other films.
#[tokio::test]
async fn an_id_of_a_lost_cache_hides_no_release() {
    let mirror = Mirror::of(testkit::catalogue()).await;
    mirror.upstream.release("Rain");
    mirror.sync().await;
    let server = mirror.server(&[]).await;
    let (_, last) = releases(&mut open(&server, EVENTS, None).await).await;
    assert!(last.starts_with("1-"), "{last}");

    let anew = Mirror::of(testkit::catalogue()).await;
    anew.upstream.release("Wind");
    anew.sync().await;
    let server = anew.server(&[]).await;
    let (got, at) = releases(&mut open(&server, EVENTS, Some(&last)).await).await;
    assert_eq!(titles(&got), ["Wind"]);
    let (none, _) = releases(&mut open(&server, EVENTS, Some(&at)).await).await;
    assert_eq!(none, []);
}

#[tokio::test]
async fn a_silent_stream_sends_a_comment_and_says_how_to_treat_it() {
    let mirror = Mirror::of(testkit::sample::catalogue()).await;
    let server = mirror.server(&[]).await;
    let mut stream = open(&server, EVENTS, None).await;
    for (header, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(stream.headers[header], value);
    }
    releases(&mut stream).await;
    stream.comment(Duration::from_secs(25)).await;

    let url = format!("{}{EVENTS}", server.url());
    let head = request(http::Method::HEAD, &url, &[]).await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert!(head.body.is_empty());
    let refused = get(&format!("{url}?since=x")).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["parameter"], "since");
    let empty = Server::new(&Mirror::empty(testkit::catalogue()).cache_url());
    let empty = empty.start().await;
    let early = get(&format!("{}{EVENTS}", empty.url())).await;
    assert_eq!(
        (early.status, early.header("retry-after")),
        (503, Some("2"))
    );
}

async fn subscribers(server: &RunningServer) -> usize {
    let metrics = get(&format!("{}/metrics", server.admin_url())).await.text();
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix("ghibli_event_subscribers "));
    line.unwrap().parse().unwrap()
}

/// With few open files, the limit is low: a quarter of the sockets.
#[tokio::test]
async fn subscribers_are_limited_and_others_are_served() {
    const MOST: usize = 18;
    let mirror = Mirror::of(testkit::sample::catalogue()).await;
    let script = format!("ulimit -n 200; exec {}", binaries().server.display());
    let environment = [
        ("CACHE_URL", mirror.cache_url()),
        ("LOG_FORMAT", "json".to_owned()),
        ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
        ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
    ];
    let process = Process::spawn("the server", "/bin/sh", &["-c", &script], &environment);
    let server = RunningServer::ready(process).await;
    server.loaded().await;

    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(open(&server, EVENTS, None).await);
    }
    // More that try than there are places for connections: nobody loses one.
    for _ in 0..100 {
        let refused = get(&format!("{}{EVENTS}", server.url())).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), Some("60"));
        assert_eq!(refused.header("connection"), Some("close"));
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("too many clients follow"), "{detail}");
    }
    assert_eq!(subscribers(&server).await, MOST);
    assert_eq!(get(&format!("{}/films", server.url())).await.status, 200);
    for stream in &mut streams {
        releases(stream).await;
    }
    let goes_on = streams.split_off(1);
    drop(streams);
    // The server notices a client that is gone when it writes to it.
    let has_room = async || {
        mirror.upstream.release("Rain");
        mirror.sync().await;
        subscribers(&server).await < MOST
    };
    eventually("a free place", TIME_LIMIT, has_room).await;
    open(&server, EVENTS, None).await;
    assert_eq!(goes_on.len(), MOST - 1);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams_at_once() {
    let mirror = Mirror::of(testkit::sample::catalogue()).await;
    let mut server = mirror.server(&[]).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = open(&server, EVENTS, None).await;
        releases(&mut stream).await;
        streams.push(stream);
    }
    let stopping = Instant::now();
    server.process.signal(Signal::Term);
    for stream in &mut streams {
        assert_eq!(stream.next(TIME_LIMIT).await, None);
    }
    let status = server.process.wait().await;
    assert!(status.success(), "{status:?}");
    // Open requests may take 10 s.
    assert!(stopping.elapsed() < Duration::from_secs(5));
    let logs = server.process.logs();
    assert!(!logs.iter().any(|line| line["event"] == "drain_timed_out"));
}

/// How many clients follow a server at once.
const CROWD: usize = 5_000;

/// The p99 of a film by id.
async fn p99(server: &RunningServer) -> Duration {
    let url = format!("{}/films/{CASTLE}", server.url());
    let mut connection = Connection::new();
    let mut times = Vec::new();
    for _ in 0..5_000 {
        let asked = Instant::now();
        assert_eq!(connection.get(&url).await.unwrap().status, 200);
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Prints what a crowd of subscribers costs. For optimised programs (`GHIBLI_BIN_DIR`), and for a
/// machine without other load; needs 16,000 open files.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and needs optimised programs"]
async fn a_crowd_of_subscribers_is_measured() {
    assert!(raise_open_files() > 16_000, "raise ulimit -n");
    let mirror = Mirror::of(testkit::catalogue()).await;
    let server = mirror.server(&[]).await;
    p99(&server).await;
    let alone = p99(&server).await;
    let (mut streams, mut refused) = (Vec::new(), 0);
    for _ in 0..2 * CROWD {
        match EventStream::open(&server.address, EVENTS, &[]).await {
            Ok(stream) => streams.push(stream),
            Err(error) => {
                assert_eq!(error.to_string(), "status 503");
                refused += 1;
            }
        }
    }
    assert_eq!((streams.len(), refused), (CROWD, CROWD));
    let beside = p99(&server).await;
    mirror.upstream.release("Rain");
    let released = Instant::now();
    mirror.sync().await;
    for stream in &mut streams {
        assert_eq!(titles(&titled(stream).await), ["Rain"]);
    }
    let (reached, usage) = (released.elapsed(), Usage::of(server.process.pid()));
    println!(
        "{CROWD} subscribers, {refused} refused; a film's p99: {alone:?} alone, {beside:?} beside \
         them; a release reached all in {reached:?}; at most {} MiB resident",
        usage.peak_resident >> 20
    );
    assert!(beside <= alone * 3 / 2, "{beside:?} after {alone:?}");
    assert!(usage.peak_resident <= 150 << 20);
}

/// The first releases that a stream sends.
async fn titled(stream: &mut EventStream) -> Vec<ServerSentEvent> {
    loop {
        let (found, _) = releases(stream).await;
        if !found.is_empty() {
            return found;
        }
    }
}
