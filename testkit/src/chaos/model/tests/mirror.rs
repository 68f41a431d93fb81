//! A correct mirror in a few numbers, whatever happens to it.

use std::cmp::Reverse;

use proptest::prelude::*;

use crate::chaos::model::{Model, Promise};
use crate::chaos::trouble::{POLLERS, READERS};

/// What may happen to a correct mirror.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Release,
    Sync(usize),
    Remember(usize),
    Load(usize),
    Look(usize),
    RestartPoller(usize),
    AwayAndBack(usize),
    RestartReader(usize),
    FreezeReader(usize),
    Flush,
    BeginAnew(usize),
    LoseEverything,
    Settle,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let (poller, reader) = (0..POLLERS, 0..READERS);
    prop_oneof![
        4 => Just(Event::Release),
        6 => poller.clone().prop_map(Event::Sync),
        2 => poller.clone().prop_map(Event::Remember),
        4 => reader.clone().prop_map(Event::Load),
        6 => reader.clone().prop_map(Event::Look),
        1 => poller.clone().prop_map(Event::RestartPoller),
        1 => poller.clone().prop_map(Event::AwayAndBack),
        2 => poller.prop_map(Event::BeginAnew),
        1 => reader.clone().prop_map(Event::RestartReader),
        1 => reader.prop_map(Event::FreezeReader),
        1 => Just(Event::Flush),
        1 => Just(Event::LoseEverything),
        1 => Just(Event::Settle),
    ]
}

/// A correct mirror in a few numbers. It reports each event to a model.
pub(super) struct Mirror {
    pub(super) model: Model,
    generation: u64,
    begun: u32,
    pub(super) cache: Stored,
    pollers: [Stored; POLLERS],
    readers: [Stored; READERS],
}

#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// Counts the beginnings of knowledge: 1 for the first, 2 for the second; 0 for no knowledge.
    begun: u32,
    films: usize,
    generation: u64,
    pub(super) log: Vec<String>,
}

pub(super) const BASELINE: usize = 3;

impl Mirror {
    pub(super) fn new() -> Self {
        let baseline = (0..BASELINE).map(|film| format!("film {film}")).collect();
        let mut mirror = Self {
            model: Model::new(baseline),
            generation: 1,
            begun: 0,
            cache: Stored::default(),
            pollers: Default::default(),
            readers: Default::default(),
        };
        mirror.sync(0);
        mirror.sync(1);
        for reader in 0..READERS {
            mirror.model.reader_started(reader);
            mirror.load(reader);
            mirror.look(reader);
        }
        mirror
    }

    pub(super) fn after(events: &[Event]) -> Self {
        let mut mirror = Self::new();
        for event in events {
            mirror.live(event);
        }
        mirror
    }

    pub(super) fn live(&mut self, event: &Event) {
        match *event {
            Event::Release => {
                let id = format!("film {}", self.model.released().len());
                self.model.film_released(id);
            }
            Event::Sync(poller) => self.sync(poller),
            Event::Remember(poller) => self.remember(poller),
            Event::Load(reader) => self.load(reader),
            Event::Look(reader) => self.look(reader),
            Event::RestartPoller(poller) => {
                self.pollers[poller] = Stored::default();
                self.model.poller_died(poller);
                self.model.poller_started(poller);
            }
            Event::AwayAndBack(poller) => {
                self.model.poller_away(poller);
                self.model.poller_back(poller);
            }
            Event::RestartReader(reader) => {
                if self.cache.films > 0 && self.model.interrupt_reader(reader) {
                    self.model.reader_started(reader);
                    self.readers[reader] = Stored::default();
                    self.load(reader);
                }
            }
            Event::FreezeReader(reader) => {
                if self.model.interrupt_reader(reader) {
                    self.model.reader_resumed(reader);
                }
            }
            Event::Flush => {
                self.cache = Stored::default();
                self.model.cache_lost();
                // The poller that remembers most restores the cache, because standbys leave that to
                // it.
                let best = (0..POLLERS).max_by_key(|&poller| self.pollers[poller].films);
                self.sync(best.unwrap());
            }
            Event::BeginAnew(poller) => {
                self.live(&Event::RestartPoller(poller));
                self.cache = Stored::default();
                self.model.cache_lost();
                self.sync(poller);
            }
            Event::LoseEverything => {
                for poller in 0..POLLERS {
                    self.live(&Event::RestartPoller(poller));
                }
                self.cache = Stored::default();
                self.model.cache_lost();
                self.sync(0);
            }
            Event::Settle => self.settle(),
        }
    }

    /// Of two beginnings, the earlier one counts, and the mirror adds what it learnt after the
    /// later one.
    pub(super) fn sync(&mut self, poller: usize) {
        let released = self.model.released().to_vec();
        let mut known = vec![self.pollers[poller].clone(), self.cache.clone()];
        known.retain(|copy| copy.begun > 0);
        let age = |copy: &&Stored| (copy.begun, Reverse(copy.films));
        let mut after = known.iter().min_by_key(age).cloned().unwrap_or_default();
        if after.begun == 0 {
            self.begun += 1;
            after.begun = self.begun;
        } else {
            after.log.extend_from_slice(&released[after.films..]);
        }
        let was_announced = |id: &&String| known.iter().any(|copy| copy.log.contains(id));
        let numbered = (1..).zip(&after.log);
        for (number, id) in numbered.filter(|(_, id)| !was_announced(id)) {
            self.model.announced(number, id);
        }
        after.films = released.len();
        self.generation += 1;
        after.generation = self.generation;
        self.model.sync_finished(poller, after.films);
        self.pollers[poller] = after.clone();
        self.cache = after;
    }

    pub(super) fn remember(&mut self, poller: usize) {
        let own = &self.pollers[poller];
        let is_known = own.begun == 0 || own.begun == self.cache.begun;
        if is_known && self.cache.films > own.films {
            self.pollers[poller] = self.cache.clone();
            self.model.remembered(poller, self.cache.films);
        }
    }

    pub(super) fn load(&mut self, reader: usize) {
        if self.cache.generation > self.readers[reader].generation {
            self.readers[reader] = self.cache.clone();
        }
    }

    pub(super) fn look(&mut self, reader: usize) {
        let shown = self.shown(reader);
        let of_any = self.model.expect_of_any();
        self.model.films_of_any(of_any, &shown);
        let expected = self.model.expect(reader);
        self.model.films(reader, expected, &shown);
        let expected = self.model.expect(reader);
        self.model
            .generation(reader, expected, self.readers[reader].generation);
    }

    pub(super) fn shown(&self, reader: usize) -> Vec<String> {
        self.model.released()[..self.readers[reader].films].to_vec()
    }

    pub(super) fn settle(&mut self) {
        for poller in 0..POLLERS {
            self.sync(poller);
        }
        for reader in 0..READERS {
            self.load(reader);
            self.look(reader);
        }
        let log = self.log();
        self.model.release_log(&log);
        self.model.settled();
    }

    pub(super) fn log(&self) -> Vec<(u64, String)> {
        (1..).zip(self.cache.log.iter().cloned()).collect()
    }

    /// A settled mirror with two releases, so that a sabotage can break something.
    pub(super) fn with_two_releases(mut self) -> Self {
        self.live(&Event::Release);
        self.live(&Event::Release);
        self.settle();
        assert_eq!(self.model.violations(), [], "right so far");
        self
    }

    pub(super) fn promises(&self) -> Vec<Promise> {
        self.model
            .violations()
            .iter()
            .map(|violation| violation.promise)
            .collect()
    }
}
