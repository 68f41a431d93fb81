use proptest::prelude::*;
use serde_json::json;
use shared::catalogue::Listing;
use shared::catalogue::lineage::Lineage;
use shared::catalogue::snapshot::Held;

use super::*;
use crate::cycle::step::{Trust, advance, built_in, prune};
use crate::upstream::{Failure, Fetched};

const UPSTREAM: &str = "https://ghibliapi.example";

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// The upstream lists this many films and this poller commits them.
fn sync(before: &Snapshot, poller: &str, films: usize, second: i64) -> Snapshot {
    let films: Vec<_> = (0..films)
        .map(|id| json!({"id": id, "title": format!("film {id}")}))
        .collect();
    let fetched = PerCollection::from_fn(|collection| {
        let items = match collection {
            Collection::Films => json!(films),
            _ => json!([{"id": "one"}]),
        };
        let listing = Listing::read(items.to_string().as_bytes()).unwrap();
        Fetched::Sent {
            seen: String::new(),
            listing,
            etag: Some("\"it\"".to_owned()),
        }
    });
    signed(
        advance(before, UPSTREAM, &fetched, Trust::Suspicious, at(second)).snapshot,
        poller,
    )
}

fn silent(before: &Snapshot, poller: &str, second: i64) -> Snapshot {
    let fetched = PerCollection::from_fn(|_| Fetched::Failed(Failure::TimedOut.into()));
    signed(
        advance(before, UPSTREAM, &fetched, Trust::Suspicious, at(second)).snapshot,
        poller,
    )
}

fn signed(mut snapshot: Snapshot, poller: &str) -> Snapshot {
    snapshot.lineage.sign(poller, snapshot.generation);
    snapshot
}

fn films(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .records(Collection::Films)
        .iter()
        .map(Record::id)
        .collect()
}

fn log(releases: &[Release]) -> Vec<(u64, &str)> {
    releases
        .iter()
        .map(|one| (one.sequence, one.id.as_str()))
        .collect()
}

fn anew(second: i64) -> Snapshot {
    built_in(UPSTREAM, at(second))
}

/// One poller's memory: three films, the third a release.
fn memory() -> Snapshot {
    sync(&sync(&anew(100), "one", 2, 100), "one", 3, 160)
}

#[test]
fn rule_12_an_empty_cache_is_restored_as_it_was_and_asked_for_anew() {
    let memory = memory();
    assert!(!knows(None, Some(&memory)) && knows(None, None) && knows(Some(&memory), None));
    let restored = restore(&memory, None, at(200));
    assert_eq!(restored.unannounced, []);
    assert_eq!(restored.snapshot.generation, 200);
    // Also within the second of the last commit, or with a clock that has gone back.
    let at_once = restore(&memory, None, at(0)).snapshot;
    assert_eq!(at_once.generation, memory.generation + 1);
    assert_eq!(restored.snapshot.releases, memory.releases);
    for (collection, held) in restored.snapshot.collections.iter() {
        let expected = Held {
            etag: None,
            ..memory.collections[collection].clone()
        };
        assert_eq!(held, &expected);
    }
}

#[test]
fn rule_12_an_older_copy_brings_nothing_back_that_was_pruned() {
    let older = memory();
    let withdrawn = sync(&older, "one", 2, 220);
    let pruned = signed(prune(&withdrawn, at(230)).unwrap().0, "one");
    assert!(!knows(Some(&older), Some(&pruned)) && knows(Some(&pruned), Some(&older)));
    let restored = restore(&pruned, Some(&older), at(240)).snapshot;
    assert_eq!(films(&restored), ["0", "1"]);
    assert!(restored.generation > older.generation.max(pruned.generation));
}

#[test]
fn rule_12_a_cache_that_was_begun_anew_gets_its_release_log_back_and_keeps_what_it_learnt() {
    let memory = memory();
    // The baseline has five films, a sixth is released, and this poller's clock is ahead.
    let news = sync(&sync(&anew(9_000), "two", 5, 9_000), "two", 6, 9_060);
    assert_eq!(log(&news.releases), [(1, "5")]);
    assert!(!knows(Some(&news), Some(&memory)));
    let Restored {
        snapshot,
        unannounced,
    } = restore(&memory, Some(&news), at(300));
    assert_eq!(films(&snapshot), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(
        log(&snapshot.releases),
        [(1, "2"), (2, "3"), (3, "4"), (4, "5")]
    );
    assert_eq!(log(&unannounced), [(2, "3"), (3, "4")]);
    assert_eq!(snapshot.releases[1].first_seen, at(9_000));
    assert_eq!(snapshot.releases[3].first_seen, at(9_060));
    assert!(snapshot.generation > news.generation);
    assert!(knows(Some(&snapshot), Some(&news)) && knows(Some(&snapshot), Some(&memory)));
}

#[test]
fn rule_12_what_the_upstream_sent_counts_for_more_than_what_is_built_in() {
    let (memory, built_in) = (memory(), silent(&anew(500), "two", 500));
    let restored = restore(&memory, Some(&built_in), at(600));
    assert_eq!(films(&restored.snapshot), films(&memory));
    assert_eq!(restored.snapshot.releases, memory.releases);
    assert_eq!(restored.snapshot.source(), Source::Upstream);
    let other = restore(&built_in, Some(&memory), at(600));
    assert_eq!(films(&other.snapshot), films(&memory));
    assert_eq!(other.snapshot.releases, memory.releases);
    assert_eq!((restored.unannounced, other.unannounced), (vec![], vec![]));
}

#[test]
fn what_was_stored_before_there_were_lineages_is_known_to_every_newer_one() {
    let mut unsigned = memory();
    unsigned.lineage = Lineage::default();
    let signed = sync(&unsigned, "two", 4, 300);
    assert!(knows(Some(&signed), Some(&unsigned)) && !knows(Some(&unsigned), Some(&signed)));
}

proptest! {
    /// Two pollers that have not seen each other's commits, in any order of release and sync: the
    /// restored snapshot has every film once, in the upstream's order. Its log has every film that
    /// was released after the first baseline.
    #[test]
    fn rule_12_copies_that_have_gone_apart_become_one(
        baseline in 1..5usize,
        steps in prop::collection::vec((any::<bool>(), 0..3usize), 0..12),
    ) {
        let mut one = sync(&anew(100), "one", baseline, 100);
        let mut two: Option<Snapshot> = None;
        let (mut released, mut second) = (baseline, 100);
        let mut announced: Vec<String> = Vec::new();
        for (is_one, more) in steps {
            released += more;
            second += 60;
            let (after, before) = if is_one {
                let after = sync(&one, "one", released, second);
                (after.clone(), std::mem::replace(&mut one, after).releases.len())
            } else {
                let before = two.take().unwrap_or_else(|| anew(second));
                let after = sync(&before, "two", released, second);
                two = Some(after.clone());
                (after, before.releases.len())
            };
            announced.extend(after.releases[before..].iter().map(|one| one.id.clone()));
        }
        let Some(two) = two else { return Ok(()) };
        prop_assert!(!knows(Some(&two), Some(&one)));
        let Restored { snapshot, unannounced } = restore(&one, Some(&two), at(second));
        announced.extend(unannounced.iter().map(|one| one.id.clone()));
        let most = one.records(Collection::Films).len().max(two.records(Collection::Films).len());
        let all: Vec<_> = (0..most).map(|id| id.to_string()).collect();
        prop_assert_eq!(films(&snapshot), all.iter().map(String::as_str).collect::<Vec<_>>());
        let wanted: Vec<_> = (1..).zip(all[baseline..].iter().map(String::as_str)).collect();
        prop_assert_eq!(log(&snapshot.releases), wanted);
        for id in &all[baseline..] {
            prop_assert!(announced.contains(id), "{} was never announced", id);
        }
        prop_assert!(knows(Some(&snapshot), Some(&one)) && knows(Some(&snapshot), Some(&two)));
        prop_assert!(snapshot.generation > one.generation.max(two.generation));
    }
}
