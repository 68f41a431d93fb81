//! What the upstream has offered, and what the mirror must show of it: the checker.
//!
//! Pure: it receives what happened, what the cache holds and what readers answered; it reads no
//! clock and asks nobody. What it knows:
//!
//! - Upstream films are only appended, and a mirror that has seen `n` of them serves exactly the
//!   first `n` in the upstream's order. So an answer is right if it is a prefix of that list, and
//!   a number describes each copy of the mirror's knowledge.
//! - A reader may be behind, but never goes back. A reader that starts finds all that was
//!   committed.
//! - The mirror forgets the release log only if it loses the cache and the memory of every poller.
//!   A poller that is away or late brings the log back, so the log is whole when a round settles.
//! - An exception needs a lost cache, and either no poller in reach that surely remembers all
//!   commits, or a new poller that cannot know them. Until the round settles, announcements may
//!   then have other numbers, and films may be missing. The mirror may announce again what no
//!   poller in reach knows.

mod copies;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::report::{
    AGE, ANNOUNCED, DELIVERED, FORWARD, GENUINE, KEPT, LEADER, Promise, RECOVERS, RELEASE_LOG,
};
use super::schedule::READERS;
use copies::{Copies, Copy};

/// What the cache holds: the mirror's own record of what it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// The name of the poller with the lease; empty while the lease is free.
    pub(super) holder: String,
    pub(super) generation: u64,
    /// The last commit of each poller, by its name.
    pub(super) lineage: BTreeMap<String, u64>,
    pub(super) films: Vec<String>,
    pub(super) log: Vec<(u64, String)>,
}

/// What a reader must return at least; a client takes this before it asks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    films: usize,
    generation: u64,
    /// Answers to requests of another era prove nothing.
    era: u64,
}

/// The checker. It keeps every violation that it finds.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Every film that the upstream ever released, in its order; the baseline comes first.
    released: Vec<String>,
    released_at: Vec<Duration>,
    /// How many of them the mirror has committed.
    pub(super) committed: usize,
    copies: Copies,
    /// The last look at the cache, unless something happened to the cache since.
    stored: Option<Stored>,
    /// The release log, as far as the mirror must keep it.
    log: Vec<String>,
    /// Every film that was ever seen in the release log.
    pub(super) logged: BTreeSet<String>,
    /// Announced films with their numbers in the release log, while those numbers still count.
    announced: BTreeMap<String, Option<u64>>,
    /// The messages' ids, and the film of each.
    messages: BTreeMap<String, String>,
    /// The films that the receiver of webhooks has accepted.
    delivered: BTreeSet<String>,
    /// How many films and releases there were at the last quiet.
    settled: (usize, usize),
    /// Since the last quiet, the cache was emptied.
    lost_cache: bool,
    /// Since the last quiet, the mirror lost the release log for an allowed reason.
    lost_log: bool,
    /// Since the last quiet, the mirror may miss films for an allowed reason.
    pub(super) forgetting: bool,
    shown: [Expected; READERS],
    era: u64,
    /// The broken promises, and what was seen.
    pub(super) violations: Vec<(Promise, String)>,
}

impl Model {
    /// A mirror that has had no release since this baseline.
    pub(super) fn new(baseline: Vec<String>) -> Self {
        Self {
            released_at: vec![Duration::ZERO; baseline.len()],
            committed: baseline.len(),
            settled: (baseline.len(), 0),
            released: baseline,
            ..Self::default()
        }
    }

    /// Adds a violation.
    pub(super) fn broken(&mut self, promise: Promise, seen: String) {
        self.violations.push((promise, seen));
    }

    /// The upstream lists a new film, after all others.
    pub(super) fn film_released(&mut self, id: String, now: Duration) {
        self.released.push(id);
        self.released_at.push(now);
    }

    // ---- pollers

    /// A poller's process starts with an empty memory.
    pub(super) fn poller_started(&mut self, poller: usize, pid: u32, now: Duration) {
        self.copies.started(poller, pid, now);
        self.take_stock();
    }

    /// A poller's process is gone, and its memory too.
    pub(super) fn poller_died(&mut self, poller: usize) {
        self.copies.died(poller);
        self.take_stock();
    }

    /// A poller becomes unable to work, because it is frozen or cannot reach the cache; or it
    /// becomes able again.
    pub(super) fn poller_away(&mut self, poller: usize, away: bool, now: Duration) {
        self.copies.away(poller, away, now);
        self.take_stock();
    }

    /// A poller announced a release.
    pub(super) fn announced(&mut self, sequence: u64, id: &str) {
        if !self.released.iter().any(|known| known == id) {
            self.broken(GENUINE, format!("announced, and never released: {id}"));
        }
        // `None` if the log may be a new one.
        let number = (!self.forgetting).then_some(sequence);
        if self.announced.insert(id.to_owned(), number).is_some() {
            let seen = format!("{id} was announced again, as number {sequence}");
            self.broken(ANNOUNCED, seen);
        }
    }

    /// The receiver of webhooks got a message about a film.
    pub(super) fn received(&mut self, id: &str, film: &str, accepted: bool) {
        if !self.released.iter().any(|known| known == film) {
            self.broken(GENUINE, format!("sent, and never released: {film}"));
        }
        // Also when the log was lost and names the film anew.
        let other = self.messages.insert(id.to_owned(), film.to_owned());
        let of_film = |(_, known): &(&String, &String)| *known == film;
        let ids: Vec<_> = self.messages.iter().filter(of_film).collect();
        if other.is_none() && ids.len() > 1 || other.is_some_and(|other| other != film) {
            self.broken(DELIVERED, format!("one release, two messages: {ids:?}"));
        }
        if accepted {
            self.delivered.insert(film.to_owned());
        }
    }

    // ---- the cache

    /// The cache holds this, or nothing at all; before the look, so many films were committed.
    /// Returns whether the lease has gone to a poller that takes it out of turn, because it
    /// remembers what the cache has lost.
    pub(super) fn looked(&mut self, now: Duration, stored: Option<Stored>, least: usize) -> bool {
        let before = self.stored.take();
        let Some(stored) = stored else { return false };
        let is_same = |before: &Stored| before.holder == stored.holder;
        let is_claimed = self.lost_cache && !before.as_ref().is_some_and(is_same);
        let least = if self.forgetting {
            0
        } else {
            least.min(self.committed)
        };
        let are_right = self.check_films("the cache", &stored.films, least);
        let log: Vec<String> = stored.log.iter().map(|(_, id)| id.clone()).collect();
        self.logged.extend(log.iter().cloned());
        let numbers = stored.log.iter().map(|(number, _)| *number);
        let are_ids_unique = log.iter().collect::<BTreeSet<_>>().len() == log.len();
        if !are_ids_unique || !numbers.eq(1..=log.len() as u64) {
            self.broken(RELEASE_LOG, format!("{:?}", stored.log));
        }
        let kept = self.log.iter().zip(&log);
        let mut kept = kept.take_while(|(was, is)| was == is).count();
        let is_whole = !self.forgetting && !self.lost_log;
        if is_whole {
            if kept < self.log.len() {
                let seen = format!("the log was {:?} and is {log:?}", self.log);
                self.broken(RELEASE_LOG, seen);
            }
            kept = log.len();
            self.log = log;
        }
        let copy = Copy {
            films: stored.films.len(),
            log: kept,
        };
        if let Some(before) = before {
            self.check_commit(&before, &stored);
            let is_new = before.generation != stored.generation || before.lineage != stored.lineage;
            let signed = stored.lineage.iter();
            for (signer, _) in signed.filter(|(_, last)| is_new && **last == stored.generation) {
                self.copies.committed(signer, copy);
            }
        }
        self.copies.stored(now, copy, is_whole);
        if are_right && !self.forgetting {
            self.committed = self.committed.max(copy.films);
        }
        self.stored = Some(stored);
        is_claimed
    }

    /// Checks what happened between two looks at the cache with no trouble in between.
    fn check_commit(&mut self, before: &Stored, stored: &Stored) {
        let (was, is, holder) = (before.generation, stored.generation, &stored.holder);
        if is < was {
            self.broken(FORWARD, format!("the cache went from {was} to {is}"));
        }
        // A lease lasts long enough that no other poller can have had it between the two looks.
        let is_held = before.holder == *holder && !holder.is_empty();
        if is_held && is != was && stored.lineage.get(holder) != Some(&is) {
            let seen = format!(
                "{holder} has the lease, and generation {is} is by another: {:?}",
                stored.lineage
            );
            self.broken(LEADER, seen);
        }
    }

    /// Redis was in trouble, so the next look says nothing about who committed.
    pub(super) fn cache_in_trouble(&mut self, now: Duration) {
        self.stored = None;
        self.copies.cache_in_trouble(now);
    }

    /// The cache is empty now.
    pub(super) fn cache_lost(&mut self) {
        self.stored = None;
        self.lost_cache = true;
        self.copies.cache_lost();
        self.take_stock();
    }

    /// Drops the knowledge that no process can have any more; after a cache loss, none in reach.
    fn take_stock(&mut self) {
        let logged = self.copies.logged();
        if logged < self.log.len() {
            self.lost_log = true;
            self.log.truncate(logged);
            self.announced.retain(|id, _| self.log.contains(id));
        }
        // What was announced since a first loss may be lost with a second one.
        let may_forget = |left: &usize| self.forgetting || *left < self.committed;
        let Some(left) = self.copies.left().filter(may_forget) else {
            return;
        };
        self.announced
            .retain(|id, _| self.released[..left].contains(id));
        for number in self.announced.values_mut() {
            *number = None;
        }
        self.committed = self.committed.min(left);
        self.forgetting = true;
        self.era += 1;
        for shown in &mut self.shown {
            shown.films = 0;
        }
    }

    /// What is wrong with the cache, or not yet right, when everything else has settled.
    pub(super) fn unsettled(&self, now: Duration) -> Option<(Promise, String)> {
        let Some(stored) = &self.stored else {
            return Some((RECOVERS, "the cache is empty".to_owned()));
        };
        let log: Vec<&String> = stored.log.iter().map(|(_, id)| id).collect();
        let wrong = |seen: String| Some((RELEASE_LOG, seen));
        if !log.iter().copied().take(self.log.len()).eq(&self.log) {
            return wrong(format!("the log was {:?} and is {log:?}", self.log));
        }
        if self.lost_log && self.copies.may_grow(now) {
            return wrong("a poller may still restore an older log".to_owned());
        }
        let (films, releases) = self.settled;
        let wanted = &self.released[films..];
        if !self.lost_log && !log.iter().copied().skip(releases).eq(wanted) {
            let since = &log[releases..];
            return wrong(format!("released: {wanted:?}; logged: {since:?}"));
        }
        let is_missing = |id: &&&String| !self.delivered.contains(**id);
        let since = log.iter().skip(releases);
        if let Some(id) = since.filter(|_| !self.lost_log).find(is_missing) {
            return Some((DELIVERED, format!("{id} was not delivered")));
        }
        let place = |id| stored.log.iter().find(|(_, other)| other == id);
        let mut announced = self.announced.iter();
        announced.find_map(|(id, number)| match (place(id), number) {
            (None, _) if !self.lost_log => wrong(format!("{id} was announced and is not in it")),
            (Some((place, _)), Some(number)) if place != number => wrong(format!(
                "{id} was announced as number {number} and is number {place} in the log"
            )),
            _ => None,
        })
    }

    /// Every trouble is over, and every reader serves everything.
    pub(super) fn settled(&mut self) {
        let log = self.stored.as_ref().map(|stored| stored.log.clone());
        let log = log.unwrap_or_default();
        // From here on this log counts, wherever it came from.
        self.announced.retain(|id, number| {
            let place = log.iter().find(|(_, other)| other == id);
            *number = place.map(|(place, _)| *place);
            place.is_some()
        });
        self.log = log.into_iter().map(|(_, id)| id).collect();
        self.settled = (self.released.len(), self.log.len());
        self.committed = self.released.len();
        self.lost_cache = false;
        self.lost_log = false;
        self.forgetting = false;
        for shown in &mut self.shown {
            shown.films = self.committed;
        }
    }

    // ---- readers

    /// A reader's process starts; it will serve at least what is committed by now.
    pub(super) fn reader_started(&mut self, reader: usize) {
        self.era += 1;
        self.shown[reader] = Expected {
            films: if self.forgetting { 0 } else { self.committed },
            ..Expected::default()
        };
    }

    /// What a reader must return at least for a request that begins now; `None` for any reader.
    pub(super) fn expect(&self, reader: Option<usize>) -> Expected {
        let any = || self.shown.into_iter().min_by_key(|shown| shown.films);
        let shown = reader.map_or_else(any, |reader| Some(self.shown[reader]));
        Expected {
            era: self.era,
            ..shown.unwrap_or_default()
        }
    }

    /// A reader, or some reader behind an edge, returned its films. They were confirmed at that
    /// moment or later, if the answer's age is to be believed.
    pub(super) fn films(
        &mut self,
        reader: Option<usize>,
        expected: Expected,
        ids: &[String],
        confirmed: Option<Duration>,
    ) {
        let is_current = expected.era == self.era;
        let least = if is_current { expected.films } else { 0 };
        let who = reader.map_or_else(
            || "a reader".to_owned(),
            |reader| format!("reader {reader}"),
        );
        if !self.check_films(&who, ids, least) || !is_current || self.forgetting {
            return;
        }
        self.committed = self.committed.max(ids.len());
        if let Some(reader) = reader {
            let films = &mut self.shown[reader].films;
            *films = (*films).max(ids.len());
        }
        let confirmed = confirmed.unwrap_or_default();
        let due = self.released_at.partition_point(|at| *at < confirmed);
        if ids.len() < due {
            let seen = format!(
                "{who} lacks {:?}, released before {confirmed:?}",
                &self.released[ids.len()..due]
            );
            self.broken(AGE, seen);
        }
    }

    /// A reader returned its generation.
    pub(super) fn generation(&mut self, reader: usize, expected: Expected, generation: u64) {
        if expected.era != self.era {
            return;
        }
        let before = expected.generation;
        if generation < before {
            let seen = format!("reader {reader} went from {before} to {generation}");
            self.broken(FORWARD, seen);
        }
        let shown = &mut self.shown[reader].generation;
        *shown = generation.max(*shown);
    }

    /// Whether these are the upstream's films in its order; at least so many, or films are lost.
    fn check_films(&mut self, who: &str, ids: &[String], least: usize) -> bool {
        if !self.released.starts_with(ids) {
            let seen = format!("{who}: released {:?}, and here {ids:?}", self.released);
            self.broken(GENUINE, seen);
            return false;
        }
        if ids.len() < least {
            let gone = &self.released[ids.len()..least];
            self.broken(KEPT, format!("{who} does not have {gone:?} any more"));
        }
        true
    }
}

#[cfg(test)]
mod tests;
