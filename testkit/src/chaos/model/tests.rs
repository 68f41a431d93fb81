//! The checker accepts a right history, finds each kind of mistake, and excuses what it must.

use super::*;

/// A way to break a promise, after `Mirror::new`.
type Mistake = (Promise, fn(&mut Mirror));

const MISTAKES: [Mistake; 20] = [
    (KEPT, |mirror| mirror.shows(|films| films.truncate(3))),
    (GENUINE, |mirror| {
        mirror.shows(|films| drop(films.remove(1)));
    }),
    (KEPT, |mirror| mirror.holds(|now| now.films.truncate(3))),
    (KEPT, |mirror| {
        // A reader that starts finds less than was committed.
        mirror.model.reader_started(0);
        mirror.shows(|films| films.truncate(3));
    }),
    (KEPT, |mirror| {
        // Through an edge, so the client cannot see which reader went back.
        let expected = mirror.model.expect(None);
        mirror.model.films(None, expected, &films(3), None);
    }),
    (GENUINE, |mirror| mirror.shows(|films| films.push(film(0)))),
    (GENUINE, |mirror| mirror.shows(|films| films.swap(0, 2))),
    (GENUINE, |mirror| mirror.shows(|films| films.push(film(9)))),
    (GENUINE, |mirror| {
        mirror.holds(|now| now.films.push(film(9)));
    }),
    (GENUINE, |mirror| mirror.model.announced(9, "film 9")),
    (FORWARD, |mirror| {
        let expected = mirror.model.expect(Some(0));
        mirror.model.generation(0, expected, 2);
    }),
    (FORWARD, |mirror| mirror.holds(|now| now.generation = 2)),
    (AGE, |mirror| {
        mirror.release();
        let expected = mirror.model.expect(Some(0));
        let at = Some(mirror.now + Duration::from_secs(1));
        mirror.model.films(Some(0), expected, &films(5), at);
    }),
    (LEADER, |mirror| {
        mirror.holds(|now| now.holder = "thief".to_owned());
        mirror.holds(|now| now.generation += 1);
    }),
    (ANNOUNCED, |mirror| mirror.model.announced(2, "film 4")),
    (RELEASE_LOG, |mirror| {
        mirror.model.announced(2, "film 0");
    }),
    (RELEASE_LOG, |mirror| {
        mirror.holds(|now| drop(now.log.pop()));
    }),
    (RELEASE_LOG, |mirror| mirror.holds(|now| now.log[1].0 = 3)),
    (RELEASE_LOG, |mirror| {
        mirror.holds(|now| now.log.push((3, film(3))));
    }),
    (RELEASE_LOG, |mirror| {
        // The film never enters the log.
        mirror.release();
        mirror.holds(|now| now.films.push(film(5)));
    }),
];

/// A mirror with three films, two releases, and poller 0 as the leader.
struct Mirror {
    model: Model,
    stored: Stored,
    now: Duration,
}

fn film(number: usize) -> String {
    format!("film {number}")
}

fn films(count: usize) -> Vec<String> {
    (0..count).map(film).collect()
}

impl Mirror {
    fn new() -> Self {
        let mut mirror = Self {
            model: Model::new(films(3)),
            stored: Stored {
                holder: "host-1-0".to_owned(),
                films: films(3),
                ..Stored::default()
            },
            now: Duration::ZERO,
        };
        for poller in [0, 1] {
            let pid = u32::try_from(poller).unwrap() + 1;
            mirror.model.poller_started(poller, pid, mirror.now);
        }
        mirror.commit();
        mirror.model.settled();
        for _ in 0..2 {
            mirror.release();
            mirror.commit();
        }
        assert_eq!(mirror.model.unsettled(), None);
        mirror.model.settled();
        for reader in 0..READERS {
            mirror.model.reader_started(reader);
            let expected = mirror.model.expect(Some(reader));
            mirror
                .model
                .generation(reader, expected, mirror.stored.generation);
        }
        mirror.shows(|_| ());
        assert_eq!(mirror.broken(), [""; 0], "right so far");
        mirror
    }

    /// The upstream releases a film.
    fn release(&mut self) {
        self.now += Duration::from_secs(1);
        self.model
            .film_released(film(self.model.released.len()), self.now);
    }

    /// The leader commits a release, if there is one, and announces it.
    fn commit(&mut self) {
        let now = &mut self.stored;
        let new = self.model.released.get(now.films.len()).cloned();
        let number = now.log.len() as u64 + 1;
        now.films.extend(new.clone());
        now.log.extend(new.clone().map(|film| (number, film)));
        now.generation += 1;
        now.lineage.insert(now.holder.clone(), now.generation);
        self.holds(|_| ());
        if let Some(film) = new {
            self.model.announced(number, &film);
        }
    }

    /// The cache holds this.
    fn holds(&mut self, change: impl FnOnce(&mut Stored)) {
        change(&mut self.stored);
        let least = self.model.committed;
        let stored = Some(self.stored.clone());
        self.model.looked(self.now, stored, least);
    }

    /// Reader 0 shows all that the cache has, with a change.
    fn shows(&mut self, change: impl FnOnce(&mut Vec<String>)) {
        let mut films = self.stored.films.clone();
        change(&mut films);
        let expected = self.model.expect(Some(0));
        self.model.films(Some(0), expected, &films, None);
    }

    fn broken(&self) -> Vec<Promise> {
        let violations = self.model.violations.iter();
        violations.map(|(promise, _)| *promise).collect()
    }
}

#[test]
fn each_kind_of_mistake_is_found() {
    for (index, (promise, mistake)) in MISTAKES.iter().enumerate() {
        let mut mirror = Mirror::new();
        mistake(&mut mirror);
        let mut broken = mirror.broken();
        broken.extend(mirror.model.unsettled().map(|(promise, _)| promise));
        assert!(broken.contains(promise), "{index}: {broken:?}");
    }
}

/// The leader remembers its commit; the standby remembers it too, once it had time to look.
#[test]
fn a_lost_cache_excuses_nothing_while_those_in_reach_remember() {
    let mut mirror = Mirror::new();
    for seconds in [8, 8] {
        mirror.now += Duration::from_secs(seconds);
        mirror.holds(|_| ());
    }
    mirror.model.cache_lost();
    assert!(!mirror.model.forgetting);
    mirror.model.poller_died(0);
    assert!(!mirror.model.forgetting && !mirror.model.lost_log);
    mirror.model.announced(2, "film 4");
    mirror.shows(|films| films.truncate(3));
    assert_eq!(mirror.broken(), [ANNOUNCED, KEPT]);
}

#[test]
fn with_cache_and_every_memory_lost_films_may_go_and_come_until_the_round_settles() {
    let mut mirror = Mirror::new();
    for poller in [0, 1] {
        mirror.model.poller_died(poller);
    }
    assert!(!mirror.model.forgetting, "the cache is still there");
    mirror.model.cache_lost();
    mirror.model.announced(1, "film 4");
    mirror.shows(|films| films.truncate(3));
    mirror.holds(|now| now.log = vec![(1, film(4))]);
    assert_eq!(mirror.model.unsettled(), None);
    mirror.model.settled();
    assert_eq!(mirror.broken(), [""; 0]);
    mirror.shows(|films| films.truncate(3));
    mirror.holds(|now| now.log.clear());
    assert_eq!(mirror.broken(), [KEPT, RELEASE_LOG]);
}

/// Sync rule 12: a poller that begins anew starts a log of its own, until the other returns.
#[test]
fn a_poller_that_is_away_keeps_the_release_log_and_not_films_from_being_missed() {
    let mut mirror = Mirror::new();
    mirror.model.poller_away(0, true, mirror.now);
    mirror.model.cache_lost();
    assert!(mirror.model.forgetting && !mirror.model.lost_log);
    let whole = std::mem::take(&mut mirror.stored.log);
    mirror.holds(|now| now.films.truncate(3));
    assert!(mirror.model.unsettled().is_some(), "the log is missing");
    mirror.holds(|now| now.log = whole.clone());
    assert_eq!(mirror.model.unsettled(), None);
    // With its memory gone too, nothing is left to restore the log from.
    mirror.model.cache_lost();
    mirror.model.poller_died(0);
    mirror.holds(|now| now.log.clear());
    assert_eq!(mirror.model.unsettled(), None);
    assert_eq!(mirror.broken(), [""; 0]);
}

#[test]
fn what_a_request_may_expect_ends_with_a_restart() {
    let mut mirror = Mirror::new();
    let before = mirror.model.expect(Some(0));
    mirror.model.reader_started(0);
    mirror.model.generation(0, before, 1);
    mirror.model.films(Some(0), before, &films(3), None);
    assert_eq!(mirror.broken(), [""; 0]);
}
