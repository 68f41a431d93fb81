//! The news as they come: what `/events` sends (Server-Sent Events, WHATWG HTML, section 9.2).
//!
//! The events of a generation are rendered once, as one text: every release, the oldest first, and
//! then the generation. Each subscriber gets the end of that text that it does not have yet, so a
//! thousand subscribers cost one rendering. Owns the number of subscribers. Knows no HTTP.
//!
//! The id of a release is its number and the moment it was first seen. The moment matters when a
//! cache was lost for good and numbers start again: then the number alone would mean another film.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use shared::catalogue::snapshot::{Release, Snapshot};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::feeds::{change, rfc3339};

/// How long a stream may be silent. Below the idle time of proxies; a client that is gone is noticed
/// at the second comment after that.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment, which clients ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// After how many milliseconds a client connects again.
const RETRY_MS: u32 = 3000;

/// How long ended streams may take to be gone.
const END_TIME: Duration = Duration::from_secs(2);

/// The stream of events, with its subscribers. Copies share it.
#[derive(Clone, Debug)]
pub struct Events {
    state: watch::Sender<State>,
    places: Arc<Semaphore>,
    most: usize,
}

/// What subscribers get.
#[derive(Clone, Debug)]
enum State {
    /// Nothing is loaded yet.
    Empty,
    Current(Log),
    /// The server stops.
    Ended,
}

/// Why a client cannot subscribe now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is loaded yet, or the server stops.
    NotReady,
    /// There are as many subscribers as there may be.
    Full,
}

impl Events {
    /// No events yet, for at most this many subscribers.
    pub fn new(most: usize) -> Self {
        Self {
            state: watch::Sender::new(State::Empty),
            places: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.most - self.places.available_permits()
    }

    /// Sends subscribers the events of a new generation, which `show` makes visible. New subscribers
    /// wait until both are done: a client that sees a release gets its event, and a client that gets
    /// the event finds the release.
    pub(crate) fn publish<T>(&self, log: Log, show: impl FnOnce() -> T) -> T {
        let mut shown = None;
        self.state.send_if_modified(|state| {
            shown = Some(show());
            let is_open = !matches!(state, State::Ended);
            if is_open {
                *state = State::Current(log);
            }
            is_open
        });
        shown.expect("the closure runs once")
    }

    /// A new subscriber, which gets the releases after `since`, or else those to come.
    ///
    /// # Errors
    /// When there is no place, or nothing to send.
    pub(crate) fn subscribe(&self, since: Option<Position>) -> Result<Subscription, Refusal> {
        let state = self.state.subscribe();
        let at = match &*state.borrow() {
            State::Current(log) => since.map_or(log.end(), |since| log.known(since)),
            State::Empty | State::Ended => return Err(Refusal::NotReady),
        };
        let place = self.places.clone().try_acquire_owned();
        Ok(Subscription {
            place: place.map_err(|_| Refusal::Full)?,
            opening: Some(format!("retry: {RETRY_MS}\nid: {at}\n\n").into()),
            state,
            at,
        })
    }

    /// Ends all streams, and waits until they are gone, but not for clients that do not read.
    pub async fn end(&self) {
        self.state.send_replace(State::Ended);
        let most = u32::try_from(self.most).unwrap_or(u32::MAX);
        let _ = timeout(END_TIME, self.places.acquire_many(most)).await;
    }
}

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Subscription {
    state: watch::Receiver<State>,
    /// The newest release that the subscriber has.
    at: Position,
    /// What is sent first.
    opening: Option<Bytes>,
    #[expect(dead_code, reason = "keeps the place")]
    place: OwnedSemaphorePermit,
}

impl Subscription {
    /// What to send next, when there is something. `None` when the stream ends.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            self.state.mark_changed();
            return Some(opening);
        }
        match timeout(HEARTBEAT, self.state.changed()).await {
            Ok(Ok(())) => match &*self.state.borrow_and_update() {
                State::Current(log) => {
                    let (news, at) = log.after(self.at);
                    self.at = at;
                    Some(news)
                }
                State::Empty | State::Ended => None,
            },
            Ok(Err(_)) => None,
            Err(_) => Some(COMMENT),
        }
    }
}

/// The events of one generation.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    text: Bytes,
    releases: Arc<[Logged]>,
}

/// A release in a [`Log`].
#[derive(Debug)]
struct Logged {
    position: Position,
    /// Where its event begins in the text.
    begins: usize,
    ends: usize,
}

impl Log {
    /// The events of a mirror that clients know under `base`.
    pub(crate) fn of(snapshot: &Snapshot, base: &str) -> Self {
        let mut text = String::new();
        let mut event = |name: &str, id: Option<Position>, data: &serde_json::Value| {
            let begins = text.len();
            let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
            // JSON without indentation is one line.
            let _ = write!(text, "{id}event: {name}\ndata: {data}\n\n");
            (begins, text.len())
        };
        let releases = snapshot.releases.iter().map(|release| {
            let position = Position::of(release);
            let (begins, ends) = event("release", Some(position), &change(release, base));
            Logged {
                position,
                begins,
                ends,
            }
        });
        let releases = releases.collect();
        let generation = json!({
            "generation": snapshot.generation,
            "committed_at": rfc3339(snapshot.committed_at),
        });
        event("generation", None, &generation);
        Self {
            text: text.into(),
            releases,
        }
    }

    /// The newest release.
    fn end(&self) -> Position {
        self.releases
            .last()
            .map_or(Position::START, |it| it.position)
    }

    /// A position with its moment, if a client gave the number alone.
    fn known(&self, given: Position) -> Position {
        match (given.first_seen_ms, given.sequence) {
            (None, 1..) => {
                let index = usize::try_from(given.sequence - 1).unwrap_or(usize::MAX);
                let release = self.releases.get(index);
                release.map_or(self.end(), |it| it.position)
            }
            _ => given,
        }
    }

    /// The events after a release, and the newest one that a client then has.
    fn after(&self, at: Position) -> (Bytes, Position) {
        let is_this_log = |it: &&Logged| it.position == at;
        let last = at.sequence.checked_sub(1);
        let last = last.and_then(|index| self.releases.get(usize::try_from(index).ok()?));
        let next = match last.filter(is_this_log) {
            Some(_) => usize::try_from(at.sequence).unwrap_or(usize::MAX),
            // Another reader was ahead of this one, or the log began anew.
            None => self.releases.partition_point(|it| {
                let moment = |at: Position| (at.first_seen_ms, at.sequence);
                moment(it.position) <= moment(at)
            }),
        };
        if let Some(release) = self.releases.get(next) {
            (self.text.slice(release.begins..), self.end())
        } else {
            let ends = self.releases.last().map_or(0, |it| it.ends);
            (self.text.slice(ends..), at)
        }
    }
}

/// A place in a release log: the release with this number, first seen at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    sequence: u64,
    /// In Unix time. `None` if a client gave the number alone.
    first_seen_ms: Option<i64>,
}

impl Position {
    /// Before the first release.
    const START: Self = Self {
        sequence: 0,
        first_seen_ms: None,
    };

    /// The newest release of a snapshot.
    pub(crate) fn newest(snapshot: &Snapshot) -> Self {
        snapshot.releases.last().map_or(Self::START, Self::of)
    }

    fn of(release: &Release) -> Self {
        Self {
            sequence: release.sequence,
            first_seen_ms: Some(release.first_seen.timestamp_millis()),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.sequence)?;
        match self.first_seen_ms {
            Some(moment) => write!(out, "-{moment}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sequence, first_seen_ms) = match text.split_once('-') {
            Some((sequence, moment)) => (sequence, Some(moment.parse()?)),
            None => (text, None),
        };
        Ok(Self {
            sequence: sequence.parse()?,
            first_seen_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;

    use super::*;

    /// A log whose releases were first seen at these seconds.
    fn log(moments: &[i64]) -> Log {
        let releases: Vec<_> = (1..)
            .zip(moments)
            .map(|(sequence, second)| {
                let first_seen = chrono::DateTime::from_timestamp(*second, 0).unwrap();
                json!({
                    "sequence": sequence, "id": format!("film/{sequence}"),
                    "title": "A\nB", "first_seen": first_seen.to_rfc3339(),
                })
            })
            .collect();
        let held = json!({"source": "upstream", "as_of": "2026-11-25T00:00:00Z", "records": []});
        let names = ["films", "people", "locations", "species", "vehicles"];
        let collections = names.map(|name| (name.to_owned(), held.clone()));
        let document = json!({
            "format": 2, "generation": 7, "committed_at": "2026-11-26T00:00:00Z",
            "upstream": "https://ghibliapi.example", "releases": releases,
            "collections": serde_json::Map::from_iter(collections),
        });
        let snapshot = Snapshot::from_json(document.to_string().as_bytes()).expect("a snapshot");
        Log::of(&snapshot, "https://mirror.example/g")
    }

    /// The numbers of the releases after a position, and where the client is then.
    fn after(log: &Log, at: &str) -> (Vec<u64>, String) {
        let at = log.known(at.parse().unwrap());
        let (text, at) = log.after(at);
        let text = std::str::from_utf8(&text).unwrap().to_owned();
        assert!(text.ends_with("\n\n") && text.matches("event: generation\n").count() == 1);
        let ids = text.split("id: ").skip(1);
        let numbers = ids.map(|rest| rest.split('-').next().unwrap().parse().unwrap());
        (numbers.collect(), at.to_string())
    }

    #[test]
    fn an_event_is_one_line_of_json_with_the_id_to_resume_from() {
        let text = log(&[100]).text;
        insta::assert_snapshot!("events", std::str::from_utf8(&text).unwrap());
    }

    #[test]
    fn a_client_gets_every_release_after_its_own_and_none_twice() {
        let log = log(&[100, 200, 200]);
        assert_eq!(after(&log, "0"), (vec![1, 2, 3], "3-200000".into()));
        assert_eq!(after(&log, "1-100000"), (vec![2, 3], "3-200000".into()));
        assert_eq!(after(&log, "2"), (vec![3], "3-200000".into()));
        assert_eq!(after(&log, "3-200000"), (vec![], "3-200000".into()));
        assert_eq!(log.end().to_string(), "3-200000");
    }

    /// Behind a load balancer, the next reader may have an older generation for a moment.
    #[test]
    fn a_reader_that_is_behind_sends_nothing_twice() {
        let at = after(&log(&[100, 200]), "3-300000");
        assert_eq!(at, (vec![], "3-300000".into()));
        assert_eq!(after(&log(&[100, 200, 300, 300]), &at.1).0, [4]);
    }

    #[test]
    fn after_a_cache_was_lost_for_good_all_later_releases_come() {
        let anew = log(&[500, 600]);
        assert_eq!(after(&anew, "1-100000").0, [1, 2]);
        assert_eq!(after(&anew, "7-500000").0, [2]);
        // A number that was never given here, without a moment.
        assert_eq!(after(&anew, "9"), (vec![], "2-600000".into()));
        assert_eq!(after(&log(&[]), "7-400000").0, [0; 0]);
        assert_eq!(log(&[]).end().to_string(), "0");
    }

    #[test]
    fn a_clock_that_was_set_back_loses_no_release() {
        assert_eq!(after(&log(&[300, 100, 200]), "1-300000").0, [2, 3]);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "x", "1-", "-1", "1-x", "1 ", "99999999999999999999"] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }

    /// A client that sees a film must not first get events of a time without it.
    #[test]
    fn a_client_that_subscribes_while_a_generation_becomes_visible_gets_its_events() {
        let events = Events::new(1);
        events.publish(log(&[100]), || ());
        let (subscribed, position) = mpsc::channel();
        let client = events.clone();
        events.publish(log(&[100, 200]), || {
            thread::spawn(move || subscribed.send(client.subscribe(None).unwrap().at));
            // A client that does not wait sends its position within this time.
            let early = position.recv_timeout(Duration::from_millis(100));
            assert_eq!(early, Err(RecvTimeoutError::Timeout));
        });
        assert_eq!(position.recv().unwrap().to_string(), "2-200000");
    }

    #[tokio::test]
    async fn subscribers_are_limited_and_end_with_the_server() {
        let events = Events::new(1);
        assert_eq!(events.subscribe(None).unwrap_err(), Refusal::NotReady);
        events.publish(log(&[100]), || ());
        let mut only = events.subscribe(None).unwrap();
        assert_eq!(events.subscribe(None).unwrap_err(), Refusal::Full);
        assert_eq!(events.subscribers(), 1);
        assert_eq!(only.next().await.unwrap(), "retry: 3000\nid: 1-100000\n\n");
        let text = only.next().await.unwrap();
        assert!(text.starts_with(b"event: generation\n"), "{text:?}");
        let ending = async {
            assert!(only.next().await.is_none());
            drop(only);
        };
        tokio::join!(events.end(), ending);
        assert_eq!(events.subscribers(), 0);
        assert_eq!(events.subscribe(None).unwrap_err(), Refusal::NotReady);
    }
}
