//! Clients that read all the time. Most spread their requests over the readers as an edge does:
//! when a reader gives no answer, the client asks another reader. One client reads through a real
//! edge instead.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::answer::{generation, ids};
use super::record::Record;
use super::report::ANSWERED;
use super::schedule::{READERS, Random};
use super::stack::Stack;
use crate::client::{CUT, Connection};
use crate::edge::{ANSWER, Edge};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// How often the client tries every reader before a request counts as failed.
const TURNS: usize = 2;

/// The pause between two requests, because this machine has other work too.
const THOUGHT: Duration = Duration::from_millis(15);

/// How much older than its age an answer may be: ages are whole seconds, and the upstream answers
/// some time before a poller confirms the answer.
const AGE_SLACK: Duration = Duration::from_secs(4);

/// The paths that clients read, films most often.
const PATHS: [&str; 6] = ["/films", "/films", "/films", "/movies", "/movies", "/db"];

/// Reads from the readers until it is dropped.
pub(super) async fn read(stack: &Stack, record: &Record, seed: u64) {
    let mut random = Random(seed);
    let mut connections: [Connection; READERS] = Default::default();
    loop {
        let (path, began) = (random.pick(&PATHS), Instant::now());
        let mut order = std::array::from_fn::<_, READERS, _>(|reader| reader);
        order.rotate_left(random.below(READERS));
        let mut reasons = Vec::new();
        for reader in order.repeat(TURNS) {
            let (url, connection) = (&stack.readers[reader].url, &mut connections[reader]);
            match ask(connection, record, (Some(reader), url), path, TRY).await {
                Ok(()) => {
                    record.with(|known| known.figures.answered += 1);
                    reasons.clear();
                    break;
                }
                Err(reason) => {
                    record.with(|known| known.figures.retried += 1);
                    reasons.push(format!("reader {reader}: {reason}"));
                }
            }
        }
        finish(record, path, began, &reasons.join("; ")).await;
    }
}

/// Reads through the edge until it is dropped. The client cannot see which reader answers.
pub(super) async fn read_through(edge: &Edge, record: &Record, seed: u64) {
    let mut random = Random(seed ^ u64::MAX);
    let mut connection = Connection::new();
    loop {
        let (path, began) = (random.pick(&PATHS), Instant::now());
        let answer = ask(&mut connection, record, (None, &edge.url), path, ANSWER).await;
        let reason = record.with(|known| match answer {
            Ok(()) => {
                known.figures.edge_answered += 1;
                String::new()
            }
            // No edge can ask another reader for the second half of an answer.
            Err(reason) if reason.contains(CUT) => {
                known.figures.retried += 1;
                String::new()
            }
            Err(reason) => format!("through the edge: {reason}"),
        });
        finish(record, path, began, &reason).await;
    }
}

/// Sends one request, and has the model check the answer.
async fn ask(
    connection: &mut Connection,
    record: &Record,
    (reader, url): (Option<usize>, &str),
    path: &str,
    limit: Duration,
) -> Result<(), String> {
    let (began, expected) = (
        record.now(),
        record.with(|known| known.model.expect(reader)),
    );
    let Ok(answer) = timeout(limit, connection.get(&format!("{url}{path}"))).await else {
        *connection = Connection::new();
        return Err(format!("no answer within {limit:?}"));
    };
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    let age = answer.header("age").and_then(|age| age.parse().ok());
    let confirmed = age.and_then(|age| began.checked_sub(Duration::from_secs(age) + AGE_SLACK));
    record.with(|known| {
        if path == "/movies" {
            let generation = generation(&answer).expect("the page shows its generation");
            if let Some(reader) = reader {
                known.model.generation(reader, expected, generation);
            }
            return;
        }
        let answer = answer.json();
        let films = if path == "/db" {
            &answer["films"]
        } else {
            &answer
        };
        // A failing upstream may have sent a film in a form that the poller set aside.
        let confirmed = confirmed.filter(|at| {
            let is_doubtful = known.wrong_time || known.share.is_faulty_since(*at);
            !is_doubtful
        });
        known.model.films(reader, expected, &ids(films), confirmed);
    });
    Ok(())
}

/// One reader is never killed or frozen, so a request without an answer breaks a promise.
async fn finish(record: &Record, path: &str, began: Instant, reason: &str) {
    let took = began.elapsed();
    record.with(|known| {
        let longest = &mut known.figures.longest_answer;
        *longest = (*longest).max(took);
        if !reason.is_empty() {
            let seen = format!("GET {path} for {took:?}: {reason}");
            known.model.broken(ANSWERED, seen);
        }
    });
    sleep(THOUGHT).await;
}
