//! The commands that look, copy and ask: status, verify, export, import, and the questions of accept
//! and prune. Real processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs::File;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::process::{Poller, Process, Server, binaries};
use testkit::redis::Redis;
use testkit::terminal::Terminal;
use testkit::upstream::Upstream;
use testkit::{catalogue, free_port};

/// An upstream and a cache, without a poller that runs.
struct Stage {
    upstream: Upstream,
    cache: String,
}

impl Stage {
    fn new(cache: &str) -> Self {
        Self {
            upstream: Upstream::start(catalogue()),
            cache: cache.to_owned(),
        }
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("GHIBLI_API", self.upstream.url()),
            ("CACHE_URL", self.cache.clone()),
            ("ADMIN_ADDR", format!("127.0.0.1:{}", free_port())),
        ]
    }

    /// Runs a command, and returns its exit status, standard output and standard error.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(arguments, &self.environment()).await
    }

    async fn json(&self, command: &str) -> (i32, Value) {
        let (code, output, _) = self.run(&[command, "--json"]).await;
        (code, serde_json::from_str(&output).expect(&output))
    }

    fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command = Command::new(binaries().poller);
        command.args(arguments).envs(self.environment());
        Terminal::run(&command)
    }
}

async fn run(arguments: &[&str], environment: &[(&str, String)]) -> (i32, String, String) {
    let mut process = Process::spawn("command", &binaries().poller, arguments, environment);
    let code = process.wait().await.code().unwrap();
    let [output, errors] = [process.stdout(), process.stderr()].map(|lines| lines.join("\n"));
    (code, output, errors)
}

fn file_cache(directory: &tempfile::TempDir) -> String {
    format!("file:{}", directory.path().display())
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_whether_all_is_well_and_its_exit_status_too() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::new(&file_cache(&directory));
    let (code, _, errors) = stage.run(&["status"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("the cache is empty"), "{errors}");

    stage.run(&["sync"]).await;
    let (code, output, _) = stage.run(&["status"]).await;
    assert_eq!(code, 0, "{output}");
    assert!(output.ends_with("all is well"), "{output}");
    let (code, status) = stage.json("status").await;
    assert_eq!((code, &status["is_well"]), (0, &json!(true)));
    assert_eq!(status["collections"]["films"]["records"], 22);

    stage.upstream.edit(|all| all["films"] = json!([]));
    stage.run(&["sync"]).await;
    let (code, output, _) = stage.run(&["status"]).await;
    assert_eq!(code, 1);
    assert!(
        output.contains("\nNOT WELL: films: suspicious: 22 of 22"),
        "{output}"
    );
    let (code, status) = stage.json("status").await;
    assert_eq!((code, &status["is_well"]), (1, &json!(false)));
    assert_eq!(status["failures_in_a_row"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_prints_what_differs_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::new(&file_cache(&directory));
    stage.run(&["sync"]).await;
    let contents = || {
        let read = |name| std::fs::read(directory.path().join(name)).unwrap();
        ["snapshot.json", "status.json"].map(read)
    };
    let before = contents();
    let (code, output, _) = stage.run(&["verify"]).await;
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("films         22 records   the same\n"),
        "{output}"
    );

    stage.upstream.release("The Boy and the Heron");
    let person = catalogue()["people"][0].clone();
    let id = person["id"].as_str().unwrap();
    stage.upstream.change("people", id, "age", "a hundred");
    stage.upstream.edit(|all| {
        all["locations"].as_array_mut().unwrap().truncate(3);
    });
    let (code, output, errors) = stage.run(&["verify"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("asking http://"), "a plain line: {errors}");
    for expected in [
        "1 appended (The Boy and the Heron)\n".to_owned(),
        format!("1 updated ({})\n", person["name"].as_str().unwrap()),
        "suspicious: 22 of 25 known records are gone".to_owned(),
        "; 22 removed (".to_owned(),
        "species        7 records   the same\n".to_owned(),
    ] {
        assert!(output.contains(&expected), "{expected}: {output}");
    }
    let (code, compared) = stage.json("verify").await;
    assert_eq!(code, 1);
    assert_eq!(
        compared["films"]["difference"]["appended"],
        json!(["The Boy and the Heron"])
    );
    assert_eq!(compared["species"]["is_same"], true);

    stage.upstream.go_down();
    let (code, output, _) = stage.run(&["verify"]).await;
    assert_eq!(code, 1);
    assert!(output.contains("records   unreachable"), "{output}");
    assert!(contents() == before, "the cache is as it was");
}

/// From files to Redis, with a running poller there, and back.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_into_another_cache_with_its_release_log() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::new(&file_cache(&directory));
    stage.run(&["sync"]).await;
    stage.upstream.release("The Boy and the Heron");
    stage.run(&["sync"]).await;
    let file = directory.path().join("export.json");
    let path = file.to_str().unwrap();
    let (code, output, _) = stage.run(&["export", path]).await;
    assert_eq!(code, 0, "{output}");
    assert!(output.starts_with("generation "), "{output}");
    let (code, printed, _) = stage.run(&["export", "-"]).await;
    assert_eq!(code, 0);
    let exported = std::fs::read_to_string(&file).unwrap();
    assert_eq!(printed, exported);

    // Into an empty cache, without a poller.
    let redis = Redis::start().await;
    let other = Stage::new(&redis.url());
    let (code, output, errors) = other.run(&["import", path]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(
        output.contains("imported snapshot: generation "),
        "{output}"
    );
    let (_, again, _) = other.run(&["export", "-"]).await;
    let [exported, imported] =
        [exported, again].map(|json| serde_json::from_str::<Value>(&json).unwrap());
    assert_eq!(imported["releases"], exported["releases"]);
    for collection in ["films", "people", "locations", "species", "vehicles"] {
        let records = |of: &Value| of["collections"][collection]["records"].clone();
        assert_eq!(records(&imported), records(&exported));
    }

    // Through a running poller, whose upstream does not have the film, and which keeps it.
    let poller = Poller::new(&other.upstream.url(), &redis.url())
        .start()
        .await;
    poller.synced("committed").await;
    let reader = Server::new(&redis.url()).start().await;
    reader.loaded().await;
    let environment = [
        ("ADMIN_ADDR", poller.admin_address.clone()),
        ("CACHE_URL", redis.url()),
    ];
    let mut changed = exported.clone();
    changed["collections"]["films"]["records"][0]["title"] = json!("Imported");
    std::fs::write(&file, changed.to_string()).unwrap();
    let (code, output, errors) = run(&["import", path], &environment).await;
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("1 updated (Imported)"), "{output}");
    reader.shows("Imported").await;
    let (_, listed, _) = run(&["history"], &environment).await;
    assert!(listed.contains("1 updated (Imported)"), "{listed}");

    // From standard input, as a container without a place for files does.
    std::fs::write(&file, exported.to_string()).unwrap();
    let mut import = Command::new(&binaries().poller);
    import.args(["import", "-"]).envs(environment);
    let output = import.stdin(File::open(&file).unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    reader.shows("Castle in the Sky").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_refuses_what_is_no_snapshot_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::new(&file_cache(&directory));
    stage.run(&["sync"]).await;
    let stored = directory.path().join("snapshot.json");
    let before = std::fs::read_to_string(&stored).unwrap();
    let file = directory.path().join("import.json");
    let path = file.to_str().unwrap();
    let newer = before.replacen("\"format\": 2", "\"format\": 3", 1);
    let status = std::fs::read_to_string(directory.path().join("status.json")).unwrap();
    for (content, reason) in [
        ("", "damaged: "),
        ("not JSON", "damaged: "),
        ("\u{0}\u{1}\u{2}", "damaged: "),
        (&before[..before.len() / 2], "damaged: "),
        (&catalogue().to_string(), "damaged: missing field `format`"),
        (&status, "damaged: missing field"),
        (&newer, "format 3 is newer than 2"),
        (
            &" ".repeat((16 << 20) + 1),
            "it is larger than 16777216 bytes",
        ),
    ] {
        std::fs::write(&file, content).unwrap();
        let (code, _, errors) = stage.run(&["import", path]).await;
        assert_eq!(code, 1, "{reason}");
        assert!(errors.contains(path) && errors.contains(reason), "{errors}");
    }
    let (code, _, errors) = stage.run(&["import", "/nonexistent"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("cannot read /nonexistent"), "{errors}");
    assert_eq!(std::fs::read_to_string(&stored).unwrap(), before);
    assert!(!Path::new(&directory.path().join("history")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_nobody_can_be_asked_and_nothing_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::new(&file_cache(&directory));
    for command in ["accept", "prune"] {
        let (code, _, errors) = stage.run(&[command]).await;
        assert_eq!(code, 1);
        let advice = format!("`ghibli-poller {command} --yes` does not ask");
        assert!(errors.contains(&advice), "{errors}");
    }
    assert_eq!(stage.upstream.counts().requests, 0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_and_prune_show_what_they_would_do_and_heed_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::new(&file_cache(&directory));
    stage.run(&["sync"]).await;
    let stored = || std::fs::read_to_string(directory.path().join("snapshot.json")).unwrap();
    let titles: Vec<_> = catalogue()["species"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    let gone = stage.upstream.edit(|all| {
        let species = all["species"].as_array_mut().unwrap();
        species.split_off(3)
    });

    let before = stored();
    for answer in [&b"n\n"[..], b"\n", b"\x04", b"yes please\n"] {
        let mut accept = stage.terminal(&["accept"]);
        accept.shows("accept would do this to the cache:").await;
        let removed = format!("species: 4 removed ({}", titles[3]);
        accept.shows(&removed).await;
        accept.types(answer).await;
        accept.shows("nothing done").await;
        assert_eq!(accept.wait().await.code(), Some(1));
        assert_eq!(stored(), before);
    }
    let mut accept = stage.terminal(&["accept"]);
    accept.shows("species: 4 removed").await;
    accept.types(b"y\n").await;
    accept.shows("species        3 records   baseline").await;
    assert_eq!(accept.wait().await.code(), Some(0));

    // They come back, and one is withdrawn.
    stage.upstream.edit(|all| {
        let species = all["species"].as_array_mut().unwrap();
        species.extend(gone);
    });
    stage.run(&["sync"]).await;
    let film = catalogue()["films"][0].clone();
    stage
        .upstream
        .withdraw("films", film["id"].as_str().unwrap());
    stage.run(&["sync"]).await;
    let before = stored();
    let expected = format!("films: 1 removed ({})", film["title"].as_str().unwrap());
    for (answer, code, said) in [
        (b"n\n", 1, "nothing done"),
        (b"Y\n", 0, "1 withdrawn records removed"),
    ] {
        let mut prune = stage.terminal(&["prune"]);
        prune.shows(&expected).await;
        assert_eq!(stored(), before);
        prune.types(answer).await;
        prune.shows(said).await;
        assert_eq!(prune.wait().await.code(), Some(code));
    }
    let (code, output, _) = stage.run(&["prune", "--yes"]).await;
    assert_eq!((code, output.as_str()), (0, "0 withdrawn records removed"));
}

/// Also in an environment that no daemon could run with.
#[tokio::test]
async fn completions_name_every_command() {
    let wrong = [("LOG_FORMAT", "xml".to_owned())];
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, errors) = run(&["completions", shell], &wrong).await;
        assert_eq!(code, 0, "{errors}");
        for command in [
            "run",
            "sync",
            "status",
            "verify",
            "accept",
            "prune",
            "history",
            "rollback",
            "export",
            "import",
            "drill",
            "health",
            "completions",
        ] {
            assert!(script.contains(command), "{command} in {shell}");
        }
    }
    let check = "source <(\"$0\" completions bash) && complete -p ghibli-poller";
    let mut bash = Process::spawn(
        "bash",
        "bash",
        &["-c", check, binaries().poller.to_str().unwrap()],
        &[],
    );
    assert_eq!(bash.wait().await.code(), Some(0), "{:?}", bash.stderr());
}
