//! The checker finds nothing in any right history, and finds each kind of wrong in every one.

use proptest::prelude::*;

use super::*;
use crate::chaos::{POLLERS, READERS};

/// What may happen to a mirror that does as it should.
#[derive(Debug, Clone)]
enum Event {
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
    LoseEverything,
    Settle,
}

fn event() -> impl Strategy<Value = Event> {
    let (poller, reader) = (0..POLLERS, 0..READERS);
    prop_oneof![
        4 => Just(Event::Release),
        6 => poller.clone().prop_map(Event::Sync),
        2 => poller.clone().prop_map(Event::Remember),
        4 => reader.clone().prop_map(Event::Load),
        6 => reader.clone().prop_map(Event::Look),
        1 => poller.clone().prop_map(Event::RestartPoller),
        1 => poller.prop_map(Event::AwayAndBack),
        1 => reader.clone().prop_map(Event::RestartReader),
        1 => reader.prop_map(Event::FreezeReader),
        1 => Just(Event::Flush),
        1 => Just(Event::LoseEverything),
        1 => Just(Event::Settle),
    ]
}

/// A mirror in a few numbers, told to a model as it goes.
struct Mirror {
    model: Model,
    generation: u64,
    cache: Stored,
    pollers: [Stored; POLLERS],
    readers: [Stored; READERS],
}

#[derive(Debug, Clone, Default)]
struct Stored {
    films: usize,
    generation: u64,
    log: Vec<String>,
}

const BASELINE: usize = 3;

impl Mirror {
    fn new() -> Self {
        let baseline = (0..BASELINE).map(|film| format!("film {film}")).collect();
        let mut mirror = Self {
            model: Model::new(baseline),
            generation: 1,
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

    fn after(events: &[Event]) -> Self {
        let mut mirror = Self::new();
        for event in events {
            mirror.live(event);
        }
        mirror
    }

    fn live(&mut self, event: &Event) {
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
                // Who remembers most restores it, as standbys leave that to it.
                let best = (0..POLLERS).max_by_key(|&poller| self.pollers[poller].films);
                self.sync(best.unwrap());
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

    fn sync(&mut self, poller: usize) {
        let own = &self.pollers[poller];
        let before = if own.films > self.cache.films {
            own
        } else {
            &self.cache
        };
        let mut after = before.clone();
        let released = self.model.released().to_vec();
        if after.films > 0 {
            after.log.extend_from_slice(&released[after.films..]);
        }
        for (index, id) in after.log.iter().enumerate().skip(before.log.len()) {
            self.model.announced(index as u64 + 1, id);
        }
        after.films = released.len();
        self.generation += 1;
        after.generation = self.generation;
        self.model.sync_finished(poller, after.films);
        self.pollers[poller] = after.clone();
        self.cache = after;
    }

    fn remember(&mut self, poller: usize) {
        if self.cache.films > self.pollers[poller].films {
            self.pollers[poller] = self.cache.clone();
            self.model.remembered(poller, self.cache.films);
        }
    }

    fn load(&mut self, reader: usize) {
        if self.cache.generation > self.readers[reader].generation {
            self.readers[reader] = self.cache.clone();
        }
    }

    fn look(&mut self, reader: usize) {
        let shown = self.shown(reader);
        let of_any = self.model.expect_of_any();
        self.model.films_of_any(of_any, &shown);
        let expected = self.model.expect(reader);
        self.model.films(reader, expected, &shown);
        let expected = self.model.expect(reader);
        self.model
            .generation(reader, expected, self.readers[reader].generation);
    }

    fn shown(&self, reader: usize) -> Vec<String> {
        self.model.released()[..self.readers[reader].films].to_vec()
    }

    fn settle(&mut self) {
        self.sync(0);
        for reader in 0..READERS {
            self.load(reader);
            self.look(reader);
        }
        let log = self.log();
        self.model.release_log(&log);
        self.model.settled();
    }

    fn log(&self) -> Vec<(u64, String)> {
        (1..).zip(self.cache.log.iter().cloned()).collect()
    }

    /// A settled mirror with two releases, so that there is something to get wrong.
    fn with_two_releases(mut self) -> Self {
        self.live(&Event::Release);
        self.live(&Event::Release);
        self.settle();
        assert_eq!(self.model.violations(), [], "right so far");
        self
    }

    fn promises(&self) -> Vec<Promise> {
        self.model
            .violations()
            .iter()
            .map(|violation| violation.promise)
            .collect()
    }
}

/// A way to break a promise.
type Sabotage = (Promise, fn(&mut Mirror));

/// One or more for every promise that the model itself watches over.
const SABOTAGES: [Sabotage; 18] = [
    (Promise::Kept, |mirror| {
        shows(mirror, |films| films.truncate(BASELINE));
    }),
    (Promise::Kept, |mirror| {
        shows(mirror, |films| drop(films.remove(1)));
    }),
    (Promise::Kept, |mirror| shows(mirror, Vec::clear)),
    (Promise::Kept, |mirror| {
        // A reader that starts finds less than was committed.
        assert!(mirror.model.interrupt_reader(0));
        mirror.model.reader_started(0);
        shows(mirror, |films| films.truncate(BASELINE));
    }),
    (Promise::Kept, |mirror| {
        mirror
            .model
            .sync_finished(0, mirror.model.released().len() - 1);
    }),
    (Promise::Kept, |mirror| {
        // Through an edge, so that it cannot be told which reader went back.
        let (expected, mut films) = (mirror.model.expect_of_any(), mirror.shown(0));
        films.truncate(BASELINE);
        mirror.model.films_of_any(expected, &films);
    }),
    (Promise::Once, |mirror| {
        shows(mirror, |films| films.push(films[0].clone()));
    }),
    (Promise::Order, |mirror| {
        shows(mirror, |films| films.swap(0, 2));
    }),
    (Promise::Genuine, |mirror| {
        shows(mirror, |films| films.push("deep".to_owned()));
    }),
    (Promise::Genuine, |mirror| {
        mirror.model.announced(9_999, "deep");
    }),
    (Promise::Genuine, |mirror| {
        mirror.model.sync_finished(0, 9_999);
    }),
    (Promise::Forward, |mirror| {
        let expected = mirror.model.expect(0);
        mirror
            .model
            .generation(0, expected, expected.generation - 1);
    }),
    (Promise::AnnouncedOnce, |mirror| {
        let (sequence, id) = mirror.log().pop().unwrap();
        mirror.model.announced(sequence, &id);
    }),
    (Promise::AnnouncedOnce, |mirror| {
        let (sequence, _) = mirror.log().pop().unwrap();
        mirror.model.announced(sequence, "film 0");
    }),
    (Promise::ReleaseLog, |mirror| {
        mirror.cache.log.pop();
        let log = mirror.log();
        mirror.model.release_log(&log);
    }),
    (Promise::ReleaseLog, |mirror| {
        let mut log = mirror.log();
        log.last_mut().unwrap().0 += 1;
        mirror.model.release_log(&log);
    }),
    (Promise::ReleaseLog, |mirror| {
        // Seen by a sync, served, and never logged.
        mirror.live(&Event::Release);
        let log = mirror.log();
        mirror.model.release_log(&log);
    }),
    (Promise::Answered, |mirror| {
        let ticket = mirror.model.request_begins();
        mirror.model.request_failed(&ticket, "nobody answered");
    }),
];

fn shows(mirror: &mut Mirror, mistake: impl FnOnce(&mut Vec<String>)) {
    let mut films = mirror.shown(0);
    mistake(&mut films);
    let expected = mirror.model.expect(0);
    mirror.model.films(0, expected, &films);
}

proptest! {
    #[test]
    fn a_mirror_that_does_as_it_should_breaks_no_promise(
        events in prop::collection::vec(event(), 0..80),
    ) {
        let mirror = Mirror::after(&events);
        prop_assert_eq!(mirror.model.violations(), []);
    }

    #[test]
    fn whatever_went_before_each_kind_of_mistake_is_found(
        events in prop::collection::vec(event(), 0..60),
        sabotage in 0..SABOTAGES.len(),
    ) {
        let mut mirror = Mirror::after(&events).with_two_releases();
        let (promise, sabotage) = SABOTAGES[sabotage];
        sabotage(&mut mirror);
        prop_assert!(mirror.promises().contains(&promise), "{:?}", mirror.model.violations());
    }
}

#[test]
fn each_kind_of_mistake_is_found() {
    for (index, (promise, sabotage)) in SABOTAGES.iter().enumerate() {
        let mut mirror = Mirror::new().with_two_releases();
        sabotage(&mut mirror);
        assert!(
            mirror.promises().contains(promise),
            "{index}: {:?}",
            mirror.model.violations()
        );
    }
}

#[test]
fn a_flushed_cache_excuses_nothing_while_a_poller_remembers() {
    let mut mirror = Mirror::new().with_two_releases();
    mirror.model.cache_lost();
    let (sequence, id) = mirror.log().pop().unwrap();
    mirror.model.announced(sequence, &id);
    assert_eq!(mirror.promises(), [Promise::AnnouncedOnce]);
}

#[test]
fn with_cache_and_every_memory_lost_releases_may_be_announced_again_and_films_return() {
    let mut mirror = Mirror::new().with_two_releases();
    let (sequence, id) = mirror.log().pop().unwrap();
    mirror.model.poller_died(0);
    mirror.model.poller_died(1);
    assert!(!mirror.model.is_forgetting(), "the cache is still there");
    mirror.model.cache_lost();
    assert!(mirror.model.is_forgetting());
    mirror.model.announced(sequence, &id);
    shows(&mut mirror, |films| films.truncate(BASELINE));
    assert_eq!(mirror.promises(), []);
    // That lasts until all is well again.
    mirror.model.settled();
    shows(&mut mirror, |films| films.truncate(BASELINE));
    assert_eq!(mirror.promises(), [Promise::Kept]);
}

#[test]
fn a_poller_that_starts_over_a_lost_cache_cannot_know_what_others_remember() {
    let mut mirror = Mirror::new().with_two_releases();
    mirror.model.poller_died(1);
    mirror.model.cache_lost();
    assert!(!mirror.model.is_forgetting());
    mirror.model.poller_started(1);
    assert!(mirror.model.is_forgetting());
}

#[test]
fn a_frozen_poller_cannot_restore_what_only_it_remembers() {
    let mut mirror = Mirror::new().with_two_releases();
    mirror.model.poller_died(1);
    mirror.model.poller_started(1);
    mirror.model.poller_away(0);
    mirror.model.cache_lost();
    assert!(mirror.model.is_forgetting());
}

#[test]
fn the_last_reader_is_never_interrupted_and_failures_without_any_are_nobodys_fault() {
    let mut mirror = Mirror::new();
    let before = mirror.model.request_begins();
    assert!(mirror.model.interrupt_reader(0));
    assert!(mirror.model.interrupt_reader(1));
    assert!(!mirror.model.interrupt_reader(2), "it is the last");
    mirror.model.reader_resumed(0);
    assert!(
        !mirror.model.interrupt_reader(2),
        "the first has not answered yet"
    );
    mirror.look(0);
    assert!(mirror.model.interrupt_reader(2));
    // Each reader was away at some time of this request.
    mirror.model.request_failed(&before, "nobody answered");
    assert_eq!(mirror.promises(), []);
    let since = mirror.model.request_begins();
    mirror.model.request_failed(&since, "nobody answered");
    assert_eq!(mirror.promises(), [Promise::Answered]);
}
