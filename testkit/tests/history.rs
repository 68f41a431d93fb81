//! History replay: every kind of change that the upstream's data has gone through, day by day, with
//! the real poller. A snapshot that people have checked holds its log and its stored data.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fmt::Write as _;

use serde_json::{Value, json};
use testkit::process::{Process, binaries};
use testkit::upstream::{Fault, Upstream};

/// A mirror that syncs once a day.
struct Years {
    upstream: Upstream,
    directory: tempfile::TempDir,
    transcript: String,
}

impl Years {
    fn begin() -> Self {
        let film = |number: u32| {
            json!({
                "id": format!("film-{number}"), "title": format!("Film {number}"),
                "release_date": 1984 + number, "rt_score": 90 + number,
                "people": [format!("https://ghibliapi.herokuapp.com/people/person-{number}")],
            })
        };
        let person = |number: u32| {
            json!({
                "id": format!("person-{number}"), "name": format!("Person {number}"),
                "eye_colour": "Brown", "age": number,
            })
        };
        let upstream = Upstream::start(json!({
            "films": (1..=6).map(film).collect::<Vec<_>>(),
            "people": (1..=6).map(person).collect::<Vec<_>>(),
            "locations": [{"id": "valley", "name": "Valley", "climate": "Windy"}],
            "species": [{"id": "human", "name": "Human"}],
            "vehicles": [{"id": "glider", "name": "Glider", "films": ["a", "b"]}],
        }));
        let directory = tempfile::tempdir().unwrap();
        Self {
            upstream,
            directory,
            transcript: String::new(),
        }
    }

    /// Syncs, and records the log lines and the stored data.
    async fn day(&mut self, what_happened: &str) {
        self.run(what_happened, "sync").await;
    }

    async fn run(&mut self, what_happened: &str, command: &str) {
        let arguments: Vec<_> = command.split(' ').collect();
        let environment = [
            ("GHIBLI_API", self.upstream.url()),
            (
                "CACHE_URL",
                format!("file:{}", self.directory.path().display()),
            ),
            ("ADMIN_ADDR", format!("127.0.0.1:{}", testkit::free_port())),
        ];
        let mut poller = Process::spawn(command, &binaries().poller, &arguments, &environment);
        let code = poller.wait().await.code().unwrap();
        writeln!(self.transcript, "## {what_happened}: exit {code}").unwrap();
        for mut line in poller.logs() {
            if line["event"] == "lease_taken" {
                continue;
            }
            if line["event"] == "sync_completed" {
                line = json!({"outcome": line["outcome"], "reason": line["reason"]});
            }
            for noise in ["timestamp", "level", "target", "message", "since"] {
                line.as_object_mut().unwrap().remove(noise);
            }
            writeln!(self.transcript, "{line}").unwrap();
        }
        let kept = std::fs::read(self.directory.path().join("snapshot.json")).unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        for collection in ["films", "people"] {
            let known = &kept["collections"][collection];
            let ids: Vec<_> = known["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| {
                    let id = record["id"].as_str().unwrap();
                    let mark = if known["withdrawn"].get(id).is_some() {
                        " (withdrawn)"
                    } else {
                        ""
                    };
                    format!("{id}{mark}")
                })
                .collect();
            writeln!(self.transcript, "{collection}: {}", ids.join(", ")).unwrap();
        }
        writeln!(self.transcript).unwrap();
    }

    /// Changes every record of a collection.
    fn each(&self, collection: &str, change: impl Fn(&mut Value)) {
        self.upstream.edit(|all| {
            all[collection]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .for_each(&change);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn years_of_changes_give_the_expected_catalogue_and_log() {
    let mut years = Years::begin();
    years.day("the baseline").await;

    years.each("films", |film| {
        for field in ["release_date", "rt_score"] {
            film[field] = json!(film[field].to_string());
        }
    });
    years.day("integers became strings").await;

    years.upstream.change("vehicles", "glider", "films", "a, b");
    years.day("a list became a string").await;
    years
        .upstream
        .change("vehicles", "glider", "films", json!(["a", "b"]));
    years.day("and a list again").await;

    years.each("people", |person| person["hair_color"] = json!("Brown"));
    years.day("every record got a new field").await;

    years.each("people", |person| {
        let color = person
            .as_object_mut()
            .unwrap()
            .shift_remove("eye_colour")
            .unwrap();
        person["eye_color"] = color;
    });
    years.day("a misspelt field was fixed").await;

    years.upstream.edit(|all| {
        let people = all["people"].as_array_mut().unwrap();
        for number in (1..=12).rev() {
            let name = format!("Newcomer {number}");
            people.insert(0, json!({"id": format!("newcomer-{number}"), "name": name}));
        }
    });
    years.day("twelve people were inserted at the front").await;

    let removed = years.upstream.withdraw("films", "film-3");
    years.day("a film was removed").await;
    years.day("nothing happened").await;
    years
        .upstream
        .edit(|all| all["films"].as_array_mut().unwrap().insert(0, removed));
    years.day("and restored, elsewhere").await;

    years.upstream.misbehave_on("people", Fault::DuplicateIds);
    years.upstream.change("people", "person-1", "age", "2");
    years.day("an id occurred twice").await;
    years.upstream.behave();

    years.upstream.change("films", "film-1", "rt_score", "99");
    years.upstream.misbehave_on("films", Fault::NotJson);
    years.day("a commit was not JSON").await;
    years.upstream.behave();
    years.day("and was mended").await;

    years.upstream.change("films", "film-2", "rt_score", "98");
    years.upstream.misbehave_on("films", Fault::HalfEmoji);
    years.day("a film was cut in the middle of an emoji").await;
    years.upstream.behave();
    years.day("and was mended as well").await;

    years
        .upstream
        .add("films", json!({"id": "film-7", "title": "Film 7"}));
    years.day("a film was released").await;

    years.each("films", |film| {
        film["id"] = json!(format!("new-{}", film["id"].as_str().unwrap()));
    });
    years.day("every id was replaced").await;
    years.run("and a person accepted it", "accept --yes").await;
    years.day("the day after").await;

    insta::assert_snapshot!(years.transcript);
}
