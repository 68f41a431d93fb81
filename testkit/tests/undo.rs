//! Undo: a wrong admin command is no disaster. Real processes, with files and with a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::{Value, json};
use testkit::client::{get, request};
use testkit::process::{Poller, Process, RunningPoller, RunningServer, Server, binaries};
use testkit::redis::Redis;
use testkit::upstream::Upstream;
use testkit::{TIME_LIMIT, catalogue, eventually};

const EVERY_SECOND: &str = "* * * * * *";

/// Everything that a reader serves for people and for clients.
const PATHS: [&str; 7] = [
    "films",
    "people",
    "locations",
    "species",
    "vehicles",
    "db",
    "movies",
];

/// Runs a command of the poller, and returns its exit status and its output.
async fn run(arguments: &[&str], environment: &[(&str, String)]) -> (Option<i32>, String) {
    let mut process = Process::spawn("command", &binaries().poller, arguments, environment);
    let code = process.wait().await.code();
    (code, process.stdout().join("\n"))
}

async fn served(reader: &RunningServer) -> Vec<String> {
    let mut bodies = Vec::new();
    for path in PATHS {
        let answer = get(&format!("{}/{path}", reader.url())).await;
        assert_eq!(answer.status, 200, "{path}");
        let body = answer.text();
        // Around the films, the page names the generation and when it was committed.
        let films = body.split("<main ").nth(1).unwrap_or(&body);
        bodies.push(films.split("</main>").next().unwrap().to_owned());
    }
    bodies
}

/// The generations that `history` lists, the newest first.
async fn generations(environment: &[(&str, String)]) -> Vec<u64> {
    let (code, listed) = run(&["history", "--json"], environment).await;
    assert_eq!(code, Some(0), "{listed}");
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let numbers = listed.iter().map(|one| one["generation"].as_u64().unwrap());
    numbers.collect()
}

struct Stage {
    upstream: Upstream,
    poller: RunningPoller,
    reader: RunningServer,
    environment: Vec<(&'static str, String)>,
}

impl Stage {
    async fn on(cache: &str) -> Self {
        let upstream = Upstream::start(catalogue());
        let poller = Poller::new(&upstream.url(), cache)
            .schedule(EVERY_SECOND)
            .start()
            .await;
        poller.synced("committed").await;
        let reader = Server::new(cache).start().await;
        reader.loaded().await;
        let environment = vec![
            ("ADMIN_ADDR", poller.admin_address.clone()),
            ("CACHE_URL", cache.to_owned()),
            ("GHIBLI_API", upstream.url()),
        ];
        Self {
            upstream,
            poller,
            reader,
            environment,
        }
    }

    fn releases(&self) -> Vec<Value> {
        let logs = self.poller.process.logs().into_iter();
        logs.filter(|line| line["event"] == "release_appended")
            .collect()
    }
}

/// The upstream loses most of its films and changes the rest, and a person accepts that.
async fn a_wrong_accept_is_undone(cache: &str) {
    let stage = Stage::on(cache).await;
    let (upstream, log) = (&stage.upstream, &stage.poller.process);
    upstream.release("The Boy and the Heron");
    stage.reader.shows("The Boy and the Heron").await;
    let before = served(&stage.reader).await;
    let good = upstream.catalogue();

    upstream.edit(|all| {
        for collection in ["films", "people"] {
            let records = all[collection].as_array_mut().unwrap();
            records.truncate(3);
            records.reverse();
            records[0]["url"] = json!("https://wrong.example");
        }
    });
    log.wait_for_log("answer_rejected", |_| true).await;
    assert!(served(&stage.reader).await == before, "rejected");
    let (code, output) = run(&["accept", "--yes"], &stage.environment).await;
    assert_eq!(code, Some(0), "{output}");
    stage.reader.shows("https://wrong.example").await;

    let answer = get(&format!("{}/films", stage.reader.url())).await;
    let wrong_since = answer.header("last-modified").unwrap().to_owned();
    // `Last-Modified` counts in seconds.
    let then = chrono::Utc::now().timestamp();
    let is_later = async || chrono::Utc::now().timestamp() > then;
    eventually("the next second", TIME_LIMIT, is_later).await;
    let [wrong, right, ..] = generations(&stage.environment).await[..] else {
        panic!("history lists two generations");
    };
    let (code, output) = run(&["rollback", &right.to_string()], &stage.environment).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("20 appended"), "{output}");
    let now = format!(
        "brought back: generation {right} is now generation {}",
        wrong + 1
    );
    assert!(output.ends_with(&now), "{output}");
    let is_back = async || served(&stage.reader).await == before;
    eventually("every byte", TIME_LIMIT, is_back).await;
    let url = format!("{}/films", stage.reader.url());
    let since = [("if-modified-since", wrong_since.as_str())];
    let answer = request("GET".parse().unwrap(), &url, &since).await;
    assert_eq!(
        answer.status, 200,
        "what came back is newer than the mistake"
    );
    // The upstream still sends the wrong answer, and the poller rejects it again.
    for _ in 0..2 {
        let line = stage.poller.next_sync().await;
        assert_eq!(line["films.result"], "rejected", "{line}");
    }
    assert!(is_back().await, "every byte stays");

    // The upstream recovers. The log goes on, and announces nothing twice.
    upstream.edit(|all| *all = good);
    let recovered = |line: &Value| line["outcome"] == "unchanged" || line["outcome"] == "committed";
    log.wait_for_log_since(log.mark(), "sync_completed", recovered)
        .await;
    assert!(is_back().await, "the upstream confirms what came back");
    upstream.release("Earwig and the Witch");
    stage.reader.shows("Earwig and the Witch").await;
    let second = |line: &Value| line["sequence"] == 2;
    log.wait_for_log("release_appended", second).await;
    assert_eq!(stage.releases().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_accept_is_undone_to_the_byte_with_files() {
    let directory = tempfile::tempdir().unwrap();
    a_wrong_accept_is_undone(&format!("file:{}", directory.path().display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_accept_is_undone_to_the_byte_with_redis() {
    let redis = Redis::start().await;
    a_wrong_accept_is_undone(&redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_prune_is_undone_and_the_record_is_withdrawn_as_before() {
    let redis = Redis::start().await;
    let stage = Stage::on(&redis.url()).await;
    let id = catalogue()["films"][0]["id"].as_str().unwrap().to_owned();
    stage.upstream.withdraw("films", &id);
    let withdrawn = "record_withdrawn";
    let log = &stage.poller.process;
    log.wait_for_log(withdrawn, |_| true).await;
    let movies = format!("{}/movies", stage.reader.url());
    let is_marked = async || get(&movies).await.text().contains("no longer listed");
    eventually("the mark", TIME_LIMIT, is_marked).await;
    let before = served(&stage.reader).await;
    let (code, output) = run(&["prune", "--yes"], &stage.environment).await;
    assert_eq!(code, Some(0), "{output}");
    let has_gone = async || served(&stage.reader).await != before;
    eventually("the prune", TIME_LIMIT, has_gone).await;

    let right = generations(&stage.environment).await[1].to_string();
    let (code, output) = run(&["rollback", &right], &stage.environment).await;
    assert_eq!(code, Some(0), "{output}");
    let is_back = async || served(&stage.reader).await == before;
    eventually("every byte", TIME_LIMIT, is_back).await;
    let line = stage.poller.next_sync().await;
    assert_eq!(line["outcome"], "unchanged", "{line}");
    assert!(is_back().await, "still withdrawn and kept");
    assert_eq!(stage.releases().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_generations_are_kept_and_an_unknown_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::start().await;
    for cache in [format!("file:{}", directory.path().display()), redis.url()] {
        let upstream = Upstream::start(catalogue());
        let environment = [
            ("GHIBLI_API", upstream.url()),
            ("CACHE_URL", cache),
            ("ADMIN_ADDR", format!("127.0.0.1:{}", testkit::free_port())),
        ];
        let (code, _) = run(&["history"], &environment).await;
        assert_eq!(code, Some(1), "the cache is empty");
        for film in 1..=12 {
            assert_eq!(run(&["sync"], &environment).await.0, Some(0));
            upstream.release(&format!("Film {film}"));
        }
        assert_eq!(run(&["sync"], &environment).await.0, Some(0));
        let kept = generations(&environment).await;
        assert_eq!(kept.len(), 11, "the current one and ten before");
        assert!(kept.windows(2).all(|pair| pair[0] == pair[1] + 1));
        let (_, listed) = run(&["history"], &environment).await;
        assert!(
            listed.contains("  films: 1 appended (Film 12)\n"),
            "{listed}"
        );
        assert!(!listed.contains("(Film 2)"), "{listed}");
        assert!(listed.contains("  the oldest that is kept\n"), "{listed}");

        for unknown in [kept[0], kept[10] - 1, 0] {
            let (code, _) = run(&["rollback", &unknown.to_string()], &environment).await;
            assert_eq!(code, Some(1), "{unknown}");
        }
        let (code, _) = run(&["rollback", &kept[10].to_string()], &environment).await;
        assert_eq!(code, Some(0));
        let after = generations(&environment).await;
        assert_eq!(after[..10], [&[kept[0] + 1], &kept[..9]].concat()[..]);
    }
    let files = std::fs::read_dir(directory.path().join("history")).unwrap();
    assert_eq!(files.count(), 10);
}
