//! One bad record does not block the others: the poller sets it aside, reports it once and counts
//! it, and keeps what it knew of the record.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;

use serde_json::{Value, json};
use testkit::catalogue;
use testkit::process::{Poller, Process, RunningPoller, binaries};
use testkit::upstream::{Fault, Upstream};

const SET_ASIDE: &str = "record_set_aside";

/// A poller that syncs every second into a directory, and what it has stored there.
struct Syncing {
    upstream: Upstream,
    directory: tempfile::TempDir,
}

impl Syncing {
    fn begin() -> Self {
        Self {
            upstream: Upstream::start(catalogue()),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn cache(&self) -> String {
        format!("file:{}", self.directory.path().display())
    }

    async fn poller(&self) -> RunningPoller {
        Poller::new(&self.upstream.url(), &self.cache())
            .schedule("* * * * * *")
            .start()
            .await
    }

    /// Runs a command, and returns its exit status and its output.
    async fn run(&self, command: &str) -> (Option<i32>, String) {
        let arguments: Vec<_> = command.split(' ').collect();
        let environment = [
            ("GHIBLI_API", self.upstream.url()),
            ("CACHE_URL", self.cache()),
            ("ADMIN_ADDR", format!("127.0.0.1:{}", testkit::free_port())),
        ];
        let mut process = Process::spawn(command, &binaries().poller, &arguments, &environment);
        let code = process.wait().await.code();
        (code, process.stdout().join("\n"))
    }

    fn stored(&self, document: &str) -> Value {
        let path: &Path = self.directory.path();
        serde_json::from_slice(&std::fs::read(path.join(document)).unwrap()).unwrap()
    }

    /// What the stored snapshot knows of the films.
    fn known(&self) -> Value {
        self.stored("snapshot.json")["collections"]["films"].take()
    }

    /// How many films the status reports as set aside.
    fn set_aside(&self) -> Value {
        self.stored("status.json")["collections"]["films"]["set_aside"].take()
    }
}

/// The films as JSON, in which the film at this place has half an emoji as its title.
fn with_half_an_emoji(films: &Value, place: usize) -> String {
    let mut films = films.clone();
    films[place]["title"] = json!("BAD");
    serde_json::to_string_pretty(&films)
        .unwrap()
        .replace("BAD", r"\ud83d")
}

fn reports(process: &Process) -> Vec<Value> {
    let mut logs = process.logs();
    logs.retain(|line| line["event"] == SET_ASIDE && line["records"].is_null());
    logs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_is_reported_once_and_the_others_are_synced() {
    let syncing = Syncing::begin();
    let mut poller = syncing.poller().await;
    let committed = |line: &Value| line["outcome"] == "committed";
    let log = &poller.process;
    log.wait_for_log("sync_completed", committed).await;
    assert_eq!(syncing.set_aside(), Value::Null);

    // One film is broken, one changes and one is new.
    let mut films = catalogue()["films"].clone();
    films[3]["rt_score"] = json!("1");
    let new = json!({"id": "new", "title": "The Red Turtle"});
    films.as_array_mut().unwrap().push(new.clone());
    let broken = with_half_an_emoji(&films, 0);
    let misbehave = |text: String| syncing.upstream.misbehave_on("films", Fault::Sends(text));
    misbehave(broken.clone());
    let line = log.wait_for_log(SET_ASIDE, |_| true).await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["collection"], "films");
    assert_eq!((&line["index"], &line["id"]), (&json!(0), &films[0]["id"]));
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("item 0 holds text that cannot be stored"),
        "{reason}"
    );
    let released = |line: &Value| line["title"] == "The Red Turtle";
    log.wait_for_log("release_appended", released).await;
    let line = poller.next_sync().await;
    assert_eq!(line["films.count"], 23, "{line}");
    let known = syncing.known();
    assert_eq!(known["records"][0], catalogue()["films"][0]);
    assert_eq!(known["records"][3]["rt_score"], "1");
    assert_eq!(known["records"][22], new);
    assert_eq!(known["withdrawn"], Value::Null);

    // The bad film stays for a while. Validators confirm everything, and the status still counts
    // it.
    for _ in 0..3 {
        let line = poller.next_sync().await;
        assert_eq!(line["outcome"], "unchanged", "{line}");
        assert_eq!(line["films.result"], "not_modified", "{line}");
        assert_eq!(line["films.set_aside"], 1, "{line}");
        assert_eq!(line.get("people.set_aside"), None, "{line}");
        assert_eq!(syncing.set_aside(), 1);
    }
    assert_eq!(reports(&poller.process).len(), 1);

    // A second bad film: the poller reports only the second, also when the answer changes.
    let two = broken.replace(films[1]["title"].as_str().unwrap(), r"\ude00");
    misbehave(two.clone());
    let second = |line: &Value| line["index"] == 1;
    poller.process.wait_for_log(SET_ASIDE, second).await;
    assert_eq!(poller.next_sync().await["films.set_aside"], 2);
    misbehave(two.replace(r#""rt_score": "1""#, r#""rt_score": "2""#));
    let updated = |line: &Value| line["id"] == films[3]["id"];
    let mark = poller.process.mark();
    poller
        .process
        .wait_for_log_since(mark, "record_changed", updated)
        .await;
    poller.next_sync().await;
    assert_eq!(reports(&poller.process).len(), 2);
    poller.process.kill().await;

    // A poller that starts reports them again, although nothing is modified.
    let poller = syncing.poller().await;
    for _ in 0..3 {
        assert_eq!(poller.next_sync().await["films.set_aside"], 2);
    }
    let line = poller.next_sync().await;
    assert_eq!(line["films.result"], "not_modified", "{line}");
    assert_eq!(reports(&poller.process).len(), 2);
    assert_eq!(syncing.set_aside(), 2);
    let known = syncing.known();
    assert_eq!(known["records"][1], catalogue()["films"][1]);

    // The upstream mends the records.
    let mark = poller.process.mark();
    syncing.upstream.behave();
    syncing
        .upstream
        .replace("films", films.as_array().unwrap().clone());
    let updated = |line: &Value| line["id"] == films[3]["id"];
    poller
        .process
        .wait_for_log_since(mark, "record_changed", updated)
        .await;
    let line = poller.next_sync().await;
    assert_eq!(line.get("films.set_aside"), None, "{line}");
    assert_eq!(syncing.set_aside(), Value::Null);
    assert_eq!(syncing.known()["records"], films);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_is_set_aside_whatever_its_mistake() {
    let syncing = Syncing::begin();
    assert_eq!(syncing.run("sync").await.0, Some(0));
    let id = catalogue()["films"][0]["id"].as_str().unwrap().to_owned();
    let (open, close) = ("[".repeat(5_000), "]".repeat(5_000));
    let deep = format!(r#"{{"id": "{id}", "x": {open}{close}}}"#);
    let with_id = |rest: &[u8]| {
        let begin = format!(r#"{{"id": "{id}", "title": "#);
        [begin.as_bytes(), rest, b"}"].concat()
    };
    let known = "1 set aside";
    let missing = "0 appended, 1 updated, 1 withdrawn, 0 returned, 1 set aside";
    for (number, (record, expected)) in [
        (with_id(br#""\ud83d""#), known),
        (with_id(br#""\udc00\ud800", "\ud800": 1"#), known),
        (with_id(b"\"caf\xe9\""), known),
        (with_id(br#"{"$serde_json::private::Number": "x"}"#), known),
        (deep.into_bytes(), known),
        // Nobody can know to which record these belong.
        (br#"{"id": null}"#.to_vec(), missing),
        (br#"{"id": 1.5}"#.to_vec(), "1 set aside"),
        (b"null".to_vec(), "1 set aside"),
        (b"[[]]".to_vec(), "1 set aside"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut films = catalogue()["films"].clone();
        films[0] = json!("RECORD");
        films[5]["rt_score"] = json!(number.to_string());
        let text = films.to_string();
        let (before, after) = text.split_once("\"RECORD\"").unwrap();
        let body = [before.as_bytes(), &record, after.as_bytes()].concat();
        let headers = vec![("content-type", "application/json".to_owned())];
        let fault = Fault::Exactly {
            status: 200,
            headers,
            body,
        };
        syncing.upstream.misbehave_on("films", fault);
        let (code, output) = syncing.run("sync").await;
        let shown = String::from_utf8_lossy(&record[..record.len().min(80)]);
        assert_eq!(code, Some(0), "{shown}: {output}");
        let line = output.lines().next().unwrap();
        assert!(line.ends_with(expected), "{shown}: {output}");
        assert!(
            output.contains("\n  set aside: item 0 "),
            "{shown}: {output}"
        );
        let kept = syncing.known();
        assert_eq!(
            kept["records"][5]["rt_score"],
            number.to_string(),
            "{shown}"
        );
        assert_eq!(kept["records"][0], catalogue()["films"][0], "{shown}");
        assert_eq!(kept["records"].as_array().unwrap().len(), 22, "{shown}");
    }
    syncing.upstream.behave();
    let (_, output) = syncing.run("sync").await;
    assert!(
        output.contains("0 appended, 1 updated, 0 withdrawn, 1 returned"),
        "{output}"
    );
}

/// Rule 7, and what `accept` does with it.
#[tokio::test(flavor = "multi_thread")]
async fn many_bad_records_are_suspicious_and_accept_keeps_their_good_forms() {
    let syncing = Syncing::begin();
    syncing.run("sync").await;
    let mut films = catalogue()["films"].clone();
    for place in 0..6 {
        films[place]["title"] = json!("BAD");
    }
    films[7]["rt_score"] = json!("1");
    let broken = films.to_string().replace("BAD", r"\ud83d");
    syncing.upstream.misbehave_on("films", Fault::Sends(broken));
    let (code, output) = syncing.run("sync").await;
    assert_eq!(code, Some(1));
    let suspicious = "rejected: suspicious: 6 of 22 known records are gone, and 6 that cannot be \
                      used are set aside; run `ghibli-poller accept`";
    assert!(output.contains(suspicious), "{output}");
    assert_eq!(syncing.known()["records"], catalogue()["films"]);
    assert_eq!(syncing.set_aside(), 6);

    let (code, output) = syncing.run("accept --yes").await;
    assert_eq!(code, Some(0), "{output}");
    let mut expected = catalogue()["films"].clone();
    expected[7]["rt_score"] = json!("1");
    assert_eq!(syncing.known()["records"], expected);

    // Only bad records are as suspicious as no records.
    let nothing = Fault::Sends(r#"[{"id": "x", "y": "\ud83d"}, null]"#.to_owned());
    syncing.upstream.misbehave_on("films", nothing);
    let (code, output) = syncing.run("sync").await;
    assert_eq!(code, Some(1));
    assert!(
        output.contains("suspicious: 22 of 22 known records"),
        "{output}"
    );
}

/// A mirror that has never seen a film in a good form shows the built-in one. When the upstream
/// mends the film, the mirror does not announce it.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_first_answer_the_built_in_form_takes_its_place() {
    let syncing = Syncing::begin();
    let films = catalogue()["films"].clone();
    let broken = Fault::Sends(with_half_an_emoji(&films, 2));
    syncing.upstream.misbehave_on("films", broken);
    let (code, output) = syncing.run("sync").await;
    assert_eq!(code, Some(0));
    assert!(
        output.starts_with("films         22 records   baseline, 1 set aside\n"),
        "{output}"
    );
    let known = syncing.known();
    assert_eq!(known["records"][1], films[1]);
    assert_eq!(known["records"][2]["id"], films[2]["id"]);
    assert_eq!(known["records"][3], films[3]);

    syncing.upstream.behave();
    let (_, output) = syncing.run("sync").await;
    assert!(!output.contains("new release"), "{output}");
    assert_eq!(syncing.known()["records"], films);
}

/// The number of log lines in a cycle is limited, however many bad records there are.
#[tokio::test(flavor = "multi_thread")]
async fn many_bad_records_are_logged_in_few_lines() {
    let syncing = Syncing::begin();
    let mut films = catalogue()["films"].clone();
    let bad = (0..5_000).map(|_| json!({}));
    films.as_array_mut().unwrap().extend(bad);
    syncing
        .upstream
        .misbehave_on("films", Fault::Sends(films.to_string()));
    let poller = syncing.poller().await;
    let line = poller.next_sync().await;
    assert_eq!(line["films.set_aside"], 5_000, "{line}");
    assert_eq!(reports(&poller.process).len(), 10);
    let more = |line: &Value| line["records"] == 4_990;
    poller.process.wait_for_log("record_set_aside", more).await;
}
