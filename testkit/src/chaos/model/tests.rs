//! The checker accepts every right history, and finds each kind of error in every wrong one.

mod mirror;

use proptest::prelude::*;

use super::Promise;
use mirror::{BASELINE, Event, Mirror, event};

/// A way to break a promise.
type Sabotage = (Promise, fn(&mut Mirror));

/// One or more for every promise that the model itself checks.
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
        // Through an edge, so the client cannot see which reader went back.
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
        // A sync saw the film and readers served it, but it never entered the log.
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
    // That lasts until the round settles.
    mirror.model.settled();
    shows(&mut mirror, |films| films.truncate(BASELINE));
    assert_eq!(mirror.promises(), [Promise::Kept]);
}

#[test]
fn a_poller_that_begins_anew_over_a_lost_cache_is_no_excuse_for_the_release_log() {
    for sabotage in [true, false] {
        let mut mirror = Mirror::new().with_two_releases();
        mirror.live(&Event::BeginAnew(1));
        assert!(
            mirror.model.is_forgetting(),
            "films may be missing for a moment"
        );
        mirror.live(&Event::Release);
        mirror.sync(1);
        let log = mirror.log();
        assert_eq!(log.len(), 1, "a log of its own");
        assert!(mirror.model.wrong_in_log(&log).is_some());
        if sabotage {
            // The second poller announces again what the first has announced.
            let (sequence, id) = log[0].clone();
            mirror.model.announced(sequence + 2, &id);
            assert_eq!(mirror.promises(), [Promise::AnnouncedOnce]);
        } else {
            mirror.settle();
            assert_eq!(mirror.log().len(), 3);
            assert_eq!(mirror.promises(), []);
        }
    }
}

#[test]
fn with_the_cache_and_the_poller_that_remembered_the_release_log_may_go() {
    let mut mirror = Mirror::new().with_two_releases();
    mirror.live(&Event::BeginAnew(1));
    mirror.live(&Event::RestartPoller(0));
    mirror.settle();
    assert_eq!(mirror.log(), []);
    assert_eq!(mirror.promises(), []);
}

#[test]
fn a_frozen_poller_keeps_the_release_log_and_not_films_from_being_missed() {
    let mut mirror = Mirror::new().with_two_releases();
    mirror.model.poller_away(0);
    mirror.live(&Event::BeginAnew(1));
    assert!(mirror.model.is_forgetting());
    assert!(mirror.model.wrong_in_log(&mirror.log()).is_some());
    mirror.model.poller_back(0);
    mirror.settle();
    assert_eq!(mirror.log().len(), 2);
    assert_eq!(mirror.promises(), []);
}

#[test]
fn the_last_reader_is_never_interrupted_and_requests_without_any_may_fail() {
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
    // Each reader was away at some time during this request.
    assert!(mirror.model.was_interrupted(&before));
    mirror.model.request_failed(&before, "nobody answered");
    assert_eq!(mirror.promises(), []);
    let since = mirror.model.request_begins();
    assert!(!mirror.model.was_interrupted(&since));
    mirror.model.request_failed(&since, "nobody answered");
    assert_eq!(mirror.promises(), [Promise::Answered]);
}

#[test]
fn an_answer_before_the_interruption_does_not_count_as_a_return() {
    let mut mirror = Mirror::new();
    for reader in [1, 2] {
        assert!(mirror.model.interrupt_reader(reader));
    }
    mirror.look(1);
    assert!(!mirror.model.interrupt_reader(0), "it is the last");
    mirror.model.reader_resumed(1);
    mirror.look(1);
    assert!(mirror.model.interrupt_reader(0));
}
