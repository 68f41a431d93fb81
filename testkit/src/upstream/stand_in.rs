//! The stand-in as a test sees it: start, edit, misbehave, count and stop.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::fault::{Fault, Faults};
use super::journal::{Journal, RecordedRequest, RequestCounts};
use super::listen::Listening;
use super::state::State;
use super::target::has_id;
use crate::TIME_LIMIT;
use crate::sample::{COLLECTIONS, Film, id};

/// A running stand-in. Dropping it closes its port and every connection before `drop` returns.
#[derive(Debug)]
pub struct Upstream {
    state: Arc<State>,
    listening: Listening,
}

impl Upstream {
    /// Starts on a free port with a catalogue: an object of the five collections, each a list.
    ///
    /// # Panics
    ///
    /// When a collection is missing or is no list.
    pub fn start(catalogue: impl Into<Value>) -> Self {
        Self::listening(crate::free_listener(), catalogue.into())
    }

    /// Starts on `port`.
    ///
    /// # Panics
    ///
    /// When the port is in use, or the catalogue is not valid.
    pub fn start_on(port: u16, catalogue: impl Into<Value>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .unwrap_or_else(|error| panic!("the stand-in upstream needs port {port}: {error}"));
        Self::listening(listener, catalogue.into())
    }

    fn listening(listener: TcpListener, catalogue: Value) -> Self {
        for collection in COLLECTIONS {
            assert!(
                catalogue[collection].is_array(),
                "a catalogue without a list of {collection}"
            );
        }
        let state = Arc::new(State {
            catalogue: Mutex::new(catalogue),
            faults: Mutex::default(),
            journal: Journal::default(),
        });
        Self {
            listening: Listening::start(listener, Arc::clone(&state)),
            state,
        }
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The port; [`go_down`](Self::go_down) and [`come_back`](Self::come_back) keep it.
    pub fn port(&self) -> u16 {
        self.listening.port()
    }

    /// Stops for good. Does the same as a drop, for tests that read better with a word for it.
    pub async fn stop(self) {
        tokio::task::spawn_blocking(move || drop(self))
            .await
            .expect("stopping does not panic");
    }

    /// Closes the listener and all open connections; the system then refuses new connections.
    pub fn go_down(&self) {
        self.listening.go_down();
    }

    /// Listens on the same port again. The catalogue, faults and counts are as they were.
    ///
    /// # Panics
    ///
    /// When another process has taken the port.
    pub fn come_back(&self) {
        self.listening.come_back();
    }

    /// Every request gets this fault from now on, until [`behave`](Self::behave).
    pub fn misbehave(&self, fault: Fault) {
        self.state.faults().everywhere = Some(fault);
    }

    /// Requests for one collection and its records get this fault. It takes precedence over a fault
    /// for everything.
    pub fn misbehave_on(&self, collection: &str, fault: Fault) {
        let collection = known(collection).to_owned();
        self.state.faults().by_collection.insert(collection, fault);
    }

    /// Ends all faults. Stalled and slow requests stay so until their client gives up.
    pub fn behave(&self) {
        *self.state.faults() = Faults::default();
    }

    /// Appends a complete new film, and returns its id.
    pub fn release(&self, title: &str) -> String {
        let mut catalogue = self.state.catalogue();
        let films = list(&mut catalogue, "films");
        let fresh = (0..=films.len())
            .map(|earlier| id("films", &format!("{title}{}", "'".repeat(earlier))))
            .find(|id| films.iter().all(|film| film["id"] != **id))
            .expect("one more candidate than films");
        films.push(Film::new(title).with_id(fresh.as_str()).into());
        fresh
    }

    /// Appends a record.
    pub fn add(&self, collection: &str, record: impl Into<Value>) {
        list(&mut self.state.catalogue(), collection).push(record.into());
    }

    /// Sets one field of one record.
    ///
    /// # Panics
    ///
    /// When the collection has no such record.
    pub fn change(&self, collection: &str, id: &str, field: &str, value: impl Into<Value>) {
        let mut catalogue = self.state.catalogue();
        let records = list(&mut catalogue, collection);
        let index = position(records, collection, id);
        records[index][field] = value.into();
    }

    /// Removes one record and returns it, so that a test can put it back.
    ///
    /// # Panics
    ///
    /// When the collection has no such record.
    pub fn withdraw(&self, collection: &str, id: &str) -> Value {
        let mut catalogue = self.state.catalogue();
        let records = list(&mut catalogue, collection);
        let index = position(records, collection, id);
        records.remove(index)
    }

    /// Replaces all records of a collection.
    pub fn replace(&self, collection: &str, records: Vec<Value>) {
        *list(&mut self.state.catalogue(), collection) = records;
    }

    /// Makes any other edit, atomically.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Value) -> T) -> T {
        edit(&mut self.state.catalogue())
    }

    /// The catalogue as it is now.
    pub fn catalogue(&self) -> Value {
        self.state.catalogue().clone()
    }

    /// Counts of requests and answers since the start.
    pub fn counts(&self) -> RequestCounts {
        self.state.journal.counts()
    }

    /// The last 10,000 requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.journal.requests()
    }

    /// Waits until the counts satisfy `reached`, and returns them.
    ///
    /// # Panics
    ///
    /// After [`TIME_LIMIT`], with `what` in the message.
    pub async fn wait_for(
        &self,
        what: &str,
        mut reached: impl FnMut(&RequestCounts) -> bool,
    ) -> RequestCounts {
        let mut counts = self.state.journal.watch();
        let waiting = counts.wait_for(|counts| reached(counts));
        let Ok(reached) = tokio::time::timeout(TIME_LIMIT, waiting).await else {
            let seen = self.counts();
            panic!(
                "the stand-in upstream waited {TIME_LIMIT:?} in vain for: {what}; it saw {seen:?}"
            );
        };
        *reached.expect("the journal lives as long as the upstream")
    }
}

/// Checks a collection's name, so that a typing mistake in a test does not disable a fault.
fn known(collection: &str) -> &str {
    assert!(
        COLLECTIONS.contains(&collection),
        "there is no collection {collection}"
    );
    collection
}

fn list<'a>(catalogue: &'a mut Value, collection: &str) -> &'a mut Vec<Value> {
    catalogue[known(collection)]
        .as_array_mut()
        .unwrap_or_else(|| panic!("an edit left {collection} without a list"))
}

fn position(records: &[Value], collection: &str, id: &str) -> usize {
    records
        .iter()
        .position(|record| has_id(record, id))
        .unwrap_or_else(|| panic!("{collection} has no record {id}"))
}
