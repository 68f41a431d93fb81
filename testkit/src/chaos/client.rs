//! Clients that read all the time. Most spread their requests over the readers as an edge does:
//! when a reader gives no answer, the client asks another reader, and asks the silent reader last
//! for a while. One client reads through a real edge instead.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::random::Random;
use super::record::Record;
use super::stack::Stack;
use super::trouble::READERS;
use crate::client::{CUT, Connection, Response};
use crate::edge::{self, Edge};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// How often the client tries every reader before a request counts as failed.
const TURNS: usize = 2;

/// How long the client asks a reader last that gave no answer.
const AVOIDED: Duration = Duration::from_secs(1);

/// The pause between two requests, because this machine has other work too.
const THOUGHT: Duration = Duration::from_millis(15);

/// The paths that clients read, films most often.
const PATHS: [&str; 6] = ["/films", "/films", "/films", "/movies", "/movies", "/db"];

/// Reads until it is dropped.
pub(super) async fn read(stack: &Stack, record: &Record, seed: u64) {
    let mut client = Client {
        random: Random::new(seed),
        connections: Default::default(),
        avoided_until: [Instant::now(); READERS],
    };
    loop {
        let path = *client.random.pick(&PATHS);
        client.request(stack, record, path).await;
        sleep(THOUGHT).await;
    }
}

/// Reads through the edge until it is dropped. The client cannot see which reader answers.
pub(super) async fn read_through(edge: &Edge, record: &Record, seed: u64) {
    let mut random = Random::new(seed ^ u64::MAX);
    let mut connection = Connection::new();
    loop {
        let path = *random.pick(&PATHS);
        let began = Instant::now();
        let (ticket, expected) =
            record.with(|known| (known.model.request_begins(), known.model.expect_of_any()));
        let url = format!("{}{path}", edge.url);
        let answer = match timeout(edge::ANSWER, connection.get(&url)).await {
            Ok(Ok(answer)) if answer.status == 200 => Ok(answer),
            Ok(Ok(answer)) => Err(format!("status {}", answer.status)),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err("no answer".to_owned()),
        };
        if answer.is_err() {
            connection = Connection::new();
        }
        record.with(|known| match answer {
            // No edge can ask another reader for the second half of an answer.
            Err(reason) if reason.contains(CUT) && known.model.was_interrupted(&ticket) => {
                known.figures.retried += 1;
            }
            Ok(answer) => {
                known.figures.edge_answered += 1;
                let longest = &mut known.figures.longest_answer;
                *longest = (*longest).max(began.elapsed());
                if let Some(films) = films(path, &answer) {
                    known.model.films_of_any(expected, &films);
                }
            }
            Err(reason) => {
                known.figures.failed += 1;
                let why = format!(
                    "GET {path} through the edge for {:?}: {reason}",
                    began.elapsed()
                );
                known.model.request_failed(&ticket, &why);
            }
        });
        sleep(THOUGHT).await;
    }
}

struct Client {
    random: Random,
    connections: [Connection; READERS],
    avoided_until: [Instant; READERS],
}

impl Client {
    async fn request(&mut self, stack: &Stack, record: &Record, path: &str) {
        let began = Instant::now();
        let ticket = record.with(|known| known.model.request_begins());
        let mut reasons = Vec::new();
        for _ in 0..TURNS {
            for reader in self.order() {
                match self.ask(stack, record, reader, path).await {
                    Ok(()) => {
                        record.with(|known| {
                            known.figures.answered += 1;
                            let longest = &mut known.figures.longest_answer;
                            *longest = (*longest).max(began.elapsed());
                        });
                        return;
                    }
                    Err(reason) => {
                        record.with(|known| known.figures.retried += 1);
                        self.avoided_until[reader] = Instant::now() + AVOIDED;
                        reasons.push(format!("reader {}: {reason}", reader + 1));
                    }
                }
            }
        }
        let why = format!(
            "GET {path} for {:?}: {}",
            began.elapsed(),
            reasons.join("; ")
        );
        record.with(|known| {
            known.figures.failed += 1;
            known.model.request_failed(&ticket, &why);
        });
    }

    /// Any order, but readers that gave no answer lately come last.
    fn order(&mut self) -> [usize; READERS] {
        let first = self.random.below(READERS);
        let mut order = std::array::from_fn(|step| (first + step) % READERS);
        let now = Instant::now();
        order.sort_by_key(|&reader| self.avoided_until[reader] > now);
        order
    }

    async fn ask(
        &mut self,
        stack: &Stack,
        record: &Record,
        reader: usize,
        path: &str,
    ) -> Result<(), String> {
        let url = format!("{}{path}", stack.readers()[reader].url);
        let expected = record.with(|known| known.model.expect(reader));
        let connection = &mut self.connections[reader];
        let Ok(answer) = timeout(TRY, connection.get(&url)).await else {
            *connection = Connection::new();
            return Err(format!("no answer within {TRY:?}"));
        };
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        record.with(|known| {
            if let Some(films) = films(path, &answer) {
                known.model.films(reader, expected, &films);
            } else {
                let generation = generation(&answer).expect("the page shows its generation");
                known.model.generation(reader, expected, generation);
            }
        });
        Ok(())
    }
}

/// The film ids in a JSON answer; `None` for a page.
fn films(path: &str, answer: &Response) -> Option<Vec<String>> {
    match path {
        "/movies" => None,
        "/db" => Some(ids(&answer.json()["films"])),
        _ => Some(ids(&answer.json())),
    }
}

/// The generation at the foot of the page.
pub(super) fn generation(page: &Response) -> Option<u64> {
    let text = page.text();
    let (_, after) = text.rsplit_once(", generation ")?;
    let end = after.find(|character: char| !character.is_ascii_digit())?;
    after[..end].parse().ok()
}

/// The ids of a list of records.
pub(super) fn ids(films: &Value) -> Vec<String> {
    let films = films.as_array().map(Vec::as_slice).unwrap_or_default();
    films
        .iter()
        .map(|film| film["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}
