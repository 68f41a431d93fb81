//! What must be true, given what happened: the checker.
//!
//! Pure: it receives events and answers, reads no clock and asks nobody. What it knows:
//!
//! - Upstream films are only appended, and a mirror that has seen `n` of them serves exactly the
//!   first `n` in the upstream's order. So an answer is right if it is a prefix of that list, and
//!   one number describes each copy of the mirror's knowledge.
//! - A reader may be behind, but never goes back. A reader that starts finds all that was
//!   committed.
//! - The mirror forgets the release log only if it loses the cache and the memory of every poller.
//!   A poller that is away or late brings the log back, so the log is whole when a round settles.
//! - An exception needs a lost cache, and either no poller in reach that remembers all commits, or
//!   a new poller that cannot know them. Until the round settles, announcements may then have other
//!   numbers, and films may differ. The mirror may announce again what no poller in reach knows.

mod copies;
mod order;
mod readers;

use std::collections::BTreeMap;

pub use super::promise::{Promise, Violation};
use copies::Copies;
use order::{explain, first_twice};
use readers::Readers;
pub use readers::{Expected, Ticket};

/// The checker. It keeps every violation that it finds.
#[derive(Debug)]
pub struct Model {
    /// Every film that the upstream ever released, in its order; the baseline comes first.
    released: Vec<String>,
    /// How many of them a finished sync has seen.
    committed: usize,
    copies: Copies,
    readers: Readers,
    /// Announced films with their numbers in the release log, while those numbers still count.
    announced: BTreeMap<String, Option<u64>>,
    /// The release log at the last look, as far as the mirror must keep it.
    log: Vec<String>,
    /// How many films the release log contained, in the cache or in a poller's memory.
    logged: usize,
    /// Since the last quiet, the mirror lost the release log for an allowed reason.
    lost_the_log: bool,
    /// How many films there were at the last quiet.
    settled: usize,
    /// Since the last quiet, the mirror forgot something for an allowed reason.
    forgetting: bool,
    silent: usize,
    violations: Vec<Violation>,
}

impl Model {
    /// A mirror that serves this baseline on every reader, and has had no release.
    pub fn new(baseline: Vec<String>) -> Self {
        Self {
            committed: baseline.len(),
            settled: baseline.len(),
            copies: Copies::default(),
            readers: Readers::default(),
            announced: BTreeMap::new(),
            log: Vec::new(),
            logged: 0,
            lost_the_log: false,
            forgetting: false,
            silent: 0,
            violations: Vec::new(),
            released: baseline,
        }
    }

    /// The violations so far, in the order of discovery.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Every film that the upstream ever released, in order.
    pub fn released(&self) -> &[String] {
        &self.released
    }

    /// Whether the mirror forgot something, for an allowed reason, since the last quiet.
    pub fn is_forgetting(&self) -> bool {
        self.forgetting
    }

    /// How many releases entered the log without an announcement: their poller died or lost the
    /// cache before it knew of its commit.
    pub fn silent(&self) -> usize {
        self.silent
    }

    /// Adds a violation that another part of the run found.
    pub fn broken(&mut self, promise: Promise, seen: impl Into<String>) {
        let seen = seen.into();
        self.violations.push(Violation { promise, seen });
    }

    // ---- the upstream

    /// The upstream lists a new film, after all others.
    pub fn film_released(&mut self, id: impl Into<String>) {
        self.released.push(id.into());
    }

    // ---- pollers

    /// A poller finished a sync and holds this many films.
    pub fn sync_finished(&mut self, poller: usize, films: usize) {
        let before = self.copies.memory(poller);
        if before.is_some_and(|before| films < before) {
            let before = before.unwrap_or_default();
            self.broken(
                Promise::Kept,
                format!(
                    "poller {} had {before} films and finished a sync with {films}",
                    poller + 1
                ),
            );
        }
        if films > self.released.len() {
            self.broken(
                Promise::Genuine,
                format!(
                    "a sync has {films} films, the upstream released {}",
                    self.released.len()
                ),
            );
        }
        self.copies.committed(poller, films);
        self.take_stock();
        self.committed = self.committed.max(films.min(self.released.len()));
    }

    /// A standby learnt from the cache that there are this many films.
    pub fn remembered(&mut self, poller: usize, films: usize) {
        self.copies.remembered(poller, films);
        self.take_stock();
    }

    /// A poller announced a release.
    pub fn announced(&mut self, sequence: u64, id: &str) {
        if !self.released.iter().any(|known| known == id) {
            self.broken(
                Promise::Genuine,
                format!("announced, and never released: {id}"),
            );
        }
        // `None` if the log may be a new one.
        let number = (!self.forgetting).then_some(sequence);
        let same_number = |other: &Option<u64>| number.is_some() && *other == number;
        let other = self.announced.iter().find(|(_, other)| same_number(other));
        if let Some((other, _)) = other.filter(|(other, _)| *other != id) {
            let seen = format!("number {sequence} was given to {other} and to {id}");
            self.broken(Promise::AnnouncedOnce, seen);
        }
        if self.announced.insert(id.to_owned(), number).is_some() {
            let seen = format!("{id} was announced again, as number {sequence}");
            self.broken(Promise::AnnouncedOnce, seen);
        }
    }

    /// A poller's process starts with an empty memory.
    pub fn poller_started(&mut self, poller: usize) {
        self.copies.started(poller);
        self.take_stock();
    }

    /// A poller's process is gone, and its memory too.
    pub fn poller_died(&mut self, poller: usize) {
        self.copies.died(poller);
        self.take_stock();
    }

    /// A poller lives but cannot work: it is frozen, or cannot reach the cache.
    pub fn poller_away(&mut self, poller: usize) {
        self.copies.away(poller, true);
        self.take_stock();
    }

    /// A poller can work again.
    pub fn poller_back(&mut self, poller: usize) {
        self.copies.away(poller, false);
        self.take_stock();
    }

    // ---- the cache

    /// The cache is empty now.
    pub fn cache_lost(&mut self) {
        self.copies.cache_lost();
        self.take_stock();
    }

    /// Returns what is wrong with the release log in the cache, or not yet right, when everything
    /// else has settled.
    pub fn wrong_in_log(&self, log: &[(u64, String)]) -> Option<String> {
        let mut numbered = (1..).zip(log);
        if let Some((wanted, (sequence, id))) =
            numbered.find(|(wanted, (sequence, _))| wanted != sequence)
        {
            return Some(format!(
                "number {sequence} ({id}) stands where {wanted} belongs"
            ));
        }
        let ids: Vec<String> = log.iter().map(|(_, id)| id.clone()).collect();
        if let Some(twice) = first_twice(&ids) {
            return Some(format!("{twice} is in the log twice"));
        }
        if !ids.starts_with(&self.log) {
            return Some(format!("the log was {:?} and is {ids:?}", self.log));
        }
        let (since, wanted) = (&ids[self.log.len()..], &self.released[self.settled..]);
        if !self.lost_the_log && since != wanted {
            return Some(format!(
                "released since the last look: {wanted:?}; logged: {since:?}"
            ));
        }
        let places: BTreeMap<_, _> = log.iter().map(|(sequence, id)| (id, sequence)).collect();
        self.announced
            .iter()
            .find_map(|(id, number)| match (places.get(id), number) {
                (None, _) if self.lost_the_log => None,
                (None, _) => Some(format!("{id} was announced and is not in the log")),
                (Some(place), Some(number)) if *place != number => Some(format!(
                    "{id} was announced as number {number} and is number {place} in the log"
                )),
                _ => None,
            })
    }

    /// Checks the release log in the cache, once everything has settled.
    pub fn release_log(&mut self, log: &[(u64, String)]) {
        if let Some(seen) = self.wrong_in_log(log) {
            self.broken(Promise::ReleaseLog, seen);
        }
        if !self.forgetting {
            let since = self.released[self.settled..].iter();
            self.silent += since.filter(|id| !self.announced.contains_key(*id)).count();
        }
        // From here on this log counts, wherever it came from.
        self.announced
            .retain(|id, _| log.iter().any(|(_, other)| other == id));
        for (sequence, id) in log {
            if let Some(number) = self.announced.get_mut(id) {
                *number = Some(*sequence);
            }
        }
        self.log = log.iter().map(|(_, id)| id.clone()).collect();
    }

    // ---- readers

    /// A reader's process starts; it will serve at least what is committed by now.
    pub fn reader_started(&mut self, reader: usize) {
        let films = if self.forgetting { 0 } else { self.committed };
        self.readers.started(reader, films);
    }

    /// The run is about to kill or freeze a reader. Returns `false`, and refuses, when no other
    /// reader could answer.
    pub fn interrupt_reader(&mut self, reader: usize) -> bool {
        self.readers.interrupt(reader)
    }

    /// A frozen reader resumes.
    pub fn reader_resumed(&mut self, reader: usize) {
        self.readers.resumed(reader);
    }

    /// The least that a reader must return for a request that starts now.
    pub fn expect(&self, reader: usize) -> Expected {
        self.readers.expect(reader)
    }

    /// A reader answered with anything.
    pub fn answered(&mut self, reader: usize, expected: Expected) {
        self.readers.answered(reader, expected);
    }

    /// The least that any reader must return for a request that starts now.
    pub fn expect_of_any(&self) -> Expected {
        self.readers.expect_of_any()
    }

    /// A reader returned its films.
    pub fn films(&mut self, reader: usize, expected: Expected, ids: &[String]) {
        self.readers.answered(reader, expected);
        let is_right = self.are_right(&format!("reader {}", reader + 1), expected, ids);
        if is_right && !self.forgetting {
            self.readers.has_shown(reader, expected, ids.len());
            self.committed = self.committed.max(ids.len());
        }
    }

    /// Some reader returned its films; the client cannot know which.
    pub fn films_of_any(&mut self, expected: Expected, ids: &[String]) {
        self.are_right("a reader", expected, ids);
    }

    /// Whether these are the upstream's films, and as many as expected if that number still counts.
    fn are_right(&mut self, who: &str, expected: Expected, ids: &[String]) -> bool {
        if !self.released.starts_with(ids) {
            let (promise, seen) = explain(&self.released, ids);
            self.broken(promise, format!("{who}: {seen}"));
            return false;
        }
        if self.readers.is_outdated(expected) {
            return false;
        }
        if ids.len() < expected.films {
            let gone = &self.released[ids.len()..expected.films];
            let seen = format!("{who} does not serve {gone:?} any more");
            self.broken(Promise::Kept, seen);
        }
        true
    }

    /// A reader returned its generation.
    pub fn generation(&mut self, reader: usize, expected: Expected, generation: u64) {
        self.readers.answered(reader, expected);
        if self.readers.is_same_life(reader, expected) && generation < expected.generation {
            let before = expected.generation;
            let seen = format!("reader {} went from {before} to {generation}", reader + 1);
            self.broken(Promise::Forward, seen);
        }
        self.readers.is_at(reader, expected, generation);
    }

    /// The readers that could answer a request that begins now.
    pub fn request_begins(&self) -> Ticket {
        self.readers.ticket()
    }

    /// Whether a reader that could answer the request was interrupted since.
    pub fn was_interrupted(&self, ticket: &Ticket) -> bool {
        self.readers.was_interrupted(ticket)
    }

    /// No reader answered a request.
    pub fn request_failed(&mut self, ticket: &Ticket, why: &str) {
        if let Some(reader) = self.readers.survivor(ticket) {
            let seen = format!("reader {} was there all the time; {why}", reader + 1);
            self.broken(Promise::Answered, seen);
        }
    }

    /// Every trouble is over, and every reader serves everything.
    pub fn settled(&mut self) {
        self.settled = self.released.len();
        self.committed = self.released.len();
        self.forgetting = false;
        self.lost_the_log = false;
        self.copies.settled(self.settled);
        self.logged = self.copies.logged();
        self.readers.all_show(self.settled);
    }

    /// Drops the knowledge that no process can have any more; after a cache loss, none in reach.
    fn take_stock(&mut self) {
        let logged = self.copies.logged();
        if logged < self.logged {
            self.lost_the_log = true;
            let known = &self.released[..logged.min(self.released.len())];
            self.log.retain(|id| known.contains(id));
            self.announced.retain(|id, _| known.contains(id));
        }
        self.logged = logged;
        let Some(left) = self.copies.left() else {
            return;
        };
        if left.for_sure >= self.committed {
            return;
        }
        let known = &self.released[..left.in_reach.min(self.released.len())];
        self.announced.retain(|id, _| known.contains(id));
        for number in self.announced.values_mut() {
            *number = None;
        }
        self.committed = left.for_sure;
        self.forgetting = true;
        self.readers.all_show(0);
    }
}

#[cfg(test)]
mod tests;
