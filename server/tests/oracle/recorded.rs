//! Recorded answers of the oracle, for machines that cannot run it.
//!
//! One line for each answer. If an answer consists of whole records of its collection, the line
//! has their positions instead.

use std::fs;

use serde_json::{Value, json};
use testkit::oracle::beside;

use crate::{
    ask::{Observation, ask, unescaped},
    compare::leads_nowhere,
    mirror::catalogue,
};

const FILE: &str = "recorded.jsonl";

/// A question with its answer.
pub(crate) struct Recording {
    question: String,
    answer: Observation,
}

impl Recording {
    /// How the answer from `base` differs, if it does. Links to a wrong page do not count.
    pub(crate) fn difference(&self, base: &str) -> Option<String> {
        let seen = ask(base, &self.question);
        let Self { question, answer } = self;
        let is_right = seen == *answer || leads_nowhere(question, &seen, answer);
        (!is_right).then(|| format!("{question}\n  expected {answer:?}\n  found    {seen:?}"))
    }
}

/// All recordings.
pub(crate) fn all() -> Vec<Recording> {
    let text = fs::read_to_string(beside(FILE)).expect("the recorded answers");
    text.lines()
        .map(|line| read(&serde_json::from_str(line).expect("JSON")))
        .collect()
}

/// Sends the questions to `base`, and replaces the file with the answers.
pub(crate) fn write(base: &str, questions: impl Iterator<Item = String>) {
    let lines = questions.map(|question| {
        let answer = ask(base, &question);
        format!("{}\n", written(&question, &answer))
    });
    fs::write(beside(FILE), lines.collect::<String>()).expect("a file to write");
}

fn read(line: &Value) -> Recording {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let question = text("ask").expect("a question");
    let body = match line["records"].as_array() {
        Some(places) => whole(&question, places),
        None => text("body").expect("a body"),
    };
    let answer = Observation {
        status: line["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok())
            .expect("a status"),
        content_type: text("type").expect("a type"),
        total: text("total"),
        link: text("link").map(|link| unescaped(&link)),
        body,
    };
    Recording { question, answer }
}

fn written(question: &str, answer: &Observation) -> Value {
    let mut line = json!({"ask": question, "status": answer.status, "type": answer.content_type});
    if let Some(total) = &answer.total {
        line["total"] = json!(total);
    }
    if let Some(link) = &answer.link {
        line["link"] = json!(link);
    }
    match places(question, &answer.body) {
        Some(places) => line["records"] = json!(places),
        None => line["body"] = json!(answer.body),
    }
    line
}

fn collection(question: &str) -> Vec<Value> {
    let name = question.split(['/', '?']).nth(1).expect("a collection");
    catalogue()[name].as_array().expect("a list").clone()
}

/// The body that consists of the records at these positions.
fn whole(question: &str, places: &[Value]) -> String {
    let all = collection(question);
    let place = |value: &Value| usize::try_from(value.as_u64().expect("a place")).expect("a place");
    let records: Vec<_> = places.iter().map(|value| &all[place(value)]).collect();
    serde_json::to_string_pretty(&records).expect("JSON")
}

/// The positions of the records in this body; `None` if the body holds anything else.
fn places(question: &str, body: &str) -> Option<Vec<usize>> {
    let all = collection(question);
    let shown: Vec<Value> = serde_json::from_str(body).ok()?;
    let places = shown
        .iter()
        .map(|record| all.iter().position(|known| known == record));
    let places: Option<Vec<_>> = places.collect();
    let values: Vec<_> = places.as_ref()?.iter().map(|place| json!(place)).collect();
    places.filter(|_| whole(question, &values) == body)
}
