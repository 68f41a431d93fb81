//! The checker accepts a right history, finds each kind of mistake, and excuses what it must.

use super::*;

/// A way to break a promise, after `Mirror::new`.
type Mistake = (Promise, fn(&mut Mirror));

const MISTAKES: &[Mistake] = &[
    (KEPT, |mirror| mirror.shows(Some(0), &films(3))),
    // Through an edge, so the client cannot see which reader went back.
    (KEPT, |mirror| mirror.shows(None, &films(3))),
    (KEPT, |mirror| mirror.holds(|now| now.films.truncate(3))),
    (KEPT, |mirror| {
        // A reader that starts finds less than was committed.
        mirror.model.reader_started(0);
        mirror.shows(Some(0), &films(3));
    }),
    (GENUINE, |mirror| mirror.shows(Some(0), &films(9))),
    (GENUINE, |mirror| mirror.shows(Some(0), &films(5)[1..])),
    (GENUINE, |mirror| mirror.holds(|now| now.films.swap(0, 2))),
    (GENUINE, |mirror| mirror.model.announced(9, "film 9")),
    (FORWARD, |mirror| {
        let expected = mirror.model.expect(Some(0));
        mirror.model.generation(0, expected, 2);
    }),
    (FORWARD, |mirror| mirror.holds(|now| now.generation = 2)),
    (AGE, |mirror| {
        mirror.release();
        let expected = mirror.model.expect(None);
        let at = Some(mirror.now + Duration::from_secs(1));
        mirror.model.films(None, expected, &films(5), at);
    }),
    (LEADER, |mirror| {
        mirror.holds(|now| now.holder = "thief".to_owned());
        mirror.holds(|now| now.generation += 1);
    }),
    (ANNOUNCED, |mirror| mirror.model.announced(2, "film 4")),
    (RELEASE_LOG, |mirror| mirror.model.announced(2, "film 0")),
    (RELEASE_LOG, |mirror| {
        mirror.holds(|now| now.log.truncate(1));
    }),
    (RELEASE_LOG, |mirror| mirror.holds(|now| now.log[1].0 = 3)),
    (RELEASE_LOG, |mirror| mirror.logs(3, "film 3")),
    // It never enters the log.
    (RELEASE_LOG, Mirror::release),
    (DELIVERED, |mirror| {
        mirror.model.received("message 3", "film 4", true);
    }),
    (DELIVERED, |mirror| {
        mirror.model.received("message 2", "film 3", true);
    }),
    // The receiver refused it.
    (DELIVERED, |mirror| {
        mirror.release();
        mirror.stored.films.push("film 5".to_owned());
        mirror.logs(3, "film 5");
        mirror.model.announced(3, "film 5");
        mirror.model.received("message 3", "film 5", false);
    }),
    (GENUINE, |mirror| mirror.model.received("x", "film 9", true)),
];

/// A mirror with three films, two releases, and poller 0 as the leader.
struct Mirror {
    model: Model,
    stored: Stored,
    now: Duration,
}

fn films(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("film {number}")).collect()
}

impl Mirror {
    fn new() -> Self {
        let stored = Stored {
            holder: "host-1-0".to_owned(),
            films: films(3),
            ..Stored::default()
        };
        let (model, now) = (Model::new(films(3)), Duration::ZERO);
        let mut mirror = Self { model, stored, now };
        mirror.model.poller_started(0, 1, now);
        mirror.model.poller_started(1, 2, now);
        mirror.holds(|_| ());
        mirror.model.settled();
        for (number, id) in [(1, "film 3"), (2, "film 4")] {
            mirror.release();
            mirror.stored.films.push(id.to_owned());
            mirror.stored.generation += 2;
            let (holder, generation) = (mirror.stored.holder.clone(), mirror.stored.generation);
            mirror.stored.lineage.insert(holder, generation);
            mirror.logs(number, id);
            mirror.model.announced(number, id);
            mirror
                .model
                .received(&format!("message {number}"), id, true);
        }
        assert_eq!(mirror.model.unsettled(now), None);
        mirror.model.settled();
        mirror.shows(Some(0), &films(5));
        mirror.model.generation(0, mirror.model.expect(Some(0)), 4);
        assert_eq!(mirror.model.violations, [], "right so far");
        mirror
    }

    /// The upstream releases a film.
    fn release(&mut self) {
        self.now += Duration::from_secs(1);
        let id = format!("film {}", self.model.released.len());
        self.model.film_released(id, self.now);
    }

    /// The cache holds this.
    fn holds(&mut self, change: impl FnOnce(&mut Stored)) {
        change(&mut self.stored);
        let (stored, least) = (Some(self.stored.clone()), self.model.committed);
        self.model.looked(self.now, stored, least);
    }

    fn logs(&mut self, number: u64, id: &str) {
        self.holds(|now| now.log.push((number, id.to_owned())));
    }

    /// A reader shows these films.
    fn shows(&mut self, reader: Option<usize>, films: &[String]) {
        let expected = self.model.expect(reader);
        self.model.films(reader, expected, films, None);
    }

    /// The promises that were broken, or would be if the round settled now.
    fn broken(&self) -> Vec<Promise> {
        let (violations, unsettled) = (
            self.model.violations.clone(),
            self.model.unsettled(self.now),
        );
        let all = violations.into_iter().chain(unsettled);
        all.map(|(promise, _)| promise).collect()
    }
}

#[test]
fn each_kind_of_mistake_is_found() {
    for (index, (promise, mistake)) in MISTAKES.iter().enumerate() {
        let mut mirror = Mirror::new();
        mistake(&mut mirror);
        let broken = mirror.broken();
        assert!(broken.contains(promise), "{index}: {broken:?}");
    }
}

/// The leader remembers its commit; the standby remembers it too, once it had time to look.
#[test]
fn a_lost_cache_excuses_nothing_while_those_in_reach_remember() {
    let mut mirror = Mirror::new();
    for _ in 0..2 {
        mirror.now += Duration::from_secs(8);
        mirror.holds(|_| ());
    }
    mirror.model.cache_lost();
    mirror.model.poller_died(0);
    assert!(!mirror.model.forgetting && !mirror.model.lost_log);
    mirror.model.announced(2, "film 4");
    mirror.shows(Some(0), &films(3));
    assert_eq!(mirror.broken(), [ANNOUNCED, KEPT, RECOVERS]);
}

#[test]
fn with_cache_and_every_memory_lost_films_may_go_and_come_until_the_round_settles() {
    let mut mirror = Mirror::new();
    mirror.model.poller_died(0);
    mirror.model.poller_died(1);
    assert!(!mirror.model.forgetting, "the cache is still there");
    mirror.model.cache_lost();
    mirror.model.announced(1, "film 4");
    mirror.shows(Some(0), &films(3));
    mirror.holds(|now| now.log = vec![(1, "film 4".to_owned())]);
    assert_eq!(mirror.broken(), [""; 0]);
    mirror.model.settled();
    mirror.shows(Some(0), &films(3));
    assert_eq!(mirror.broken(), [KEPT]);
}

/// Without a second loss, the cache still has what was announced since the first.
#[test]
fn a_cache_lost_twice_in_a_round_excuses_what_only_the_second_loss_took() {
    for (is_lost, expected) in [(true, vec![]), (false, vec![ANNOUNCED])] {
        let mut mirror = Mirror::new();
        mirror.model.poller_died(0);
        mirror.model.poller_died(1);
        mirror.model.cache_lost();
        mirror.holds(|now| now.log.clear());
        mirror.release();
        mirror.model.announced(1, "film 5");
        if is_lost {
            mirror.model.cache_lost();
        }
        mirror.model.announced(3, "film 5");
        mirror.stored.films.push("film 5".to_owned());
        mirror.holds(|now| now.log = vec![(1, "film 5".to_owned())]);
        assert_eq!(mirror.broken(), expected);
    }
}

/// Sync rule 12: a poller that begins anew starts a log of its own, until the other returns.
#[test]
fn a_poller_that_is_away_keeps_the_release_log_and_not_films_from_being_missed() {
    let mut mirror = Mirror::new();
    let whole = mirror.stored.log.clone();
    mirror.model.poller_away(0, true, mirror.now);
    mirror.model.cache_lost();
    mirror.stored.log.clear();
    mirror.holds(|now| now.films.truncate(3));
    assert_eq!(mirror.broken(), [RELEASE_LOG], "it is missing");
    mirror.holds(|now| now.log = whole);
    assert_eq!(mirror.broken(), [""; 0]);
    // With its memory gone too, nothing is left to restore the log from.
    mirror.model.cache_lost();
    mirror.model.poller_died(0);
    mirror.holds(|now| now.log.clear());
    assert_eq!(mirror.broken(), [RELEASE_LOG], "the other may remember it");
    mirror.now += Duration::from_secs(30);
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
