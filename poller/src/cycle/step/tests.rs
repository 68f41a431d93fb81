use proptest::prelude::*;
use serde_json::{Value, json};

use super::{advance as advance_with, *};
use crate::upstream::Failure;

const UPSTREAM: &str = "https://ghibliapi.example";

/// What every answer of it looked like.
const SEEN: &str = "status 200, application/json";

fn advance(
    before: &Snapshot,
    upstream: &str,
    fetched: &PerCollection<Fetched>,
    at: DateTime<Utc>,
) -> Step {
    advance_with(before, upstream, fetched, Trust::Suspicious, at)
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn sent(items: &Value) -> Fetched {
    let listing = Listing::read(items.to_string().as_bytes()).unwrap();
    Fetched::Sent {
        listing,
        seen: SEEN.to_owned(),
        etag: Some(format!("W/\"{}\"", items.to_string().len())),
    }
}

fn films(titles: &[&str]) -> Value {
    titles
        .iter()
        .map(|title| json!({"id": title.to_lowercase(), "title": title}))
        .collect()
}

/// All five collections answer: films as given, the others with one record each.
fn answers(films: &Value) -> PerCollection<Fetched> {
    PerCollection::from_fn(|collection| match collection {
        Collection::Films => sent(films),
        _ => sent(&json!([{"id": "one", "name": collection.name()}])),
    })
}

fn quiet() -> PerCollection<Fetched> {
    PerCollection::from_fn(|_| Fetched::NotModified)
}

fn failed() -> Fetched {
    Fetched::Failed(Failure::Status(500).into())
}

fn baseline(titles: &[&str]) -> Snapshot {
    advance(
        &built_in(UPSTREAM, at(100)),
        UPSTREAM,
        &answers(&films(titles)),
        at(100),
    )
    .snapshot
}

#[test]
fn rule_9_a_quiet_cycle_needs_no_new_generation_and_no_storing() {
    let before = baseline(&["Ponyo"]);
    let step = advance(&before, UPSTREAM, &quiet(), at(160));
    assert_eq!(step.snapshot, before);
}

#[test]
fn rule_9_new_validators_are_stored_without_a_new_generation() {
    let before = baseline(&["Ponyo"]);
    let mut fetched = quiet();
    let listing = Listing {
        records: before.records(Collection::Films).to_vec(),
        ..Listing::default()
    };
    fetched.films = Fetched::Sent {
        listing,
        seen: SEEN.to_owned(),
        etag: Some("\"other\"".into()),
    };
    let step = advance(&before, UPSTREAM, &fetched, at(160));
    assert_eq!(step.verdicts.films, Verdict::Unchanged);
    assert_ne!(step.snapshot, before);
    assert_eq!(step.snapshot.generation, before.generation);
    assert_eq!(step.snapshot.collections.films.as_of, at(100));
    assert_eq!(
        step.snapshot.collections.films.etag.as_deref(),
        Some("\"other\"")
    );
}

#[test]
fn rule_10_the_baseline_announces_nothing_and_each_film_is_announced_once() {
    let before = baseline(&["Ponyo"]);
    assert!(before.releases.is_empty());

    let fetched = answers(&films(&["Arrietty", "Ponyo", "Totoro"]));
    let step = advance(&before, UPSTREAM, &fetched, at(160));
    let announced: Vec<_> = step
        .released
        .iter()
        .map(|release| (release.sequence, release.title.as_str()))
        .collect();
    assert_eq!(announced, [(1, "Arrietty"), (2, "Totoro")]);
    assert_eq!(step.snapshot.releases, step.released);
    assert_eq!(step.snapshot.generation, before.generation + 1);

    let again = advance(&step.snapshot, UPSTREAM, &fetched, at(220));
    assert!(again.released.is_empty());
    assert_eq!(again.snapshot, step.snapshot);
}

#[test]
fn rule_10_a_flood_of_releases_costs_no_more_than_other_records() {
    // As many as the limits allow: three values each. Comparing every pair would take seconds.
    let titles: Vec<_> = (0..limits::MAX_VALUES / 3)
        .map(|number| format!("film {number}"))
        .collect();
    let titles: Vec<_> = titles.iter().map(String::as_str).collect();
    let before = baseline(&titles[..1]);
    let flood = answers(&films(&titles));
    let step = advance(&before, UPSTREAM, &flood, at(200));
    assert_eq!(step.released.len(), titles.len() - 1);
}

#[test]
fn rule_11_without_an_upstream_there_is_the_built_in_catalogue() {
    let before = built_in(UPSTREAM, at(100));
    let step = advance(
        &before,
        UPSTREAM,
        &PerCollection::from_fn(|_| failed()),
        at(100),
    );
    assert_eq!(step.snapshot.source(), Source::BuiltIn);
    assert_eq!(step.snapshot.records(Collection::Films).len(), 22);
    assert_eq!(step.verdicts.films, Verdict::Failed("status 500".into()));
}

#[test]
fn rule_11_each_collections_first_answer_replaces_the_built_in_one() {
    let mut fetched = answers(&films(&["Ponyo"]));
    fetched.people = failed();
    let step = advance(&built_in(UPSTREAM, at(100)), UPSTREAM, &fetched, at(100));
    assert_eq!(step.verdicts.films, Verdict::Baseline);
    assert_eq!(step.snapshot.records(Collection::Films).len(), 1);
    assert_eq!(step.snapshot.records(Collection::People).len(), 57);
    assert_eq!(step.snapshot.source(), Source::BuiltIn);
    let step = advance(
        &step.snapshot,
        UPSTREAM,
        &answers(&films(&["Ponyo"])),
        at(160),
    );
    assert_eq!(step.verdicts.people, Verdict::Baseline);
    assert_eq!(step.snapshot.source(), Source::Upstream);
    assert!(step.released.is_empty());
}

#[test]
fn rule_7_a_suspicious_answer_changes_nothing_not_even_the_validator() {
    let before = baseline(&["Ponyo", "Totoro", "Arrietty"]);
    for suspicious in [films(&[]), films(&["Ponyo", "Kiki", "Porco"])] {
        let mut fetched = quiet();
        fetched.films = sent(&suspicious);
        let step = advance(&before, UPSTREAM, &fetched, at(160));
        assert!(
            matches!(&step.verdicts.films, Verdict::Rejected(why) if why.contains("suspicious"))
        );
        assert_eq!(step.snapshot, before);
    }
}

#[test]
fn rule_7_an_upstream_that_starts_empty_does_not_replace_the_built_in_catalogue() {
    let step = advance(
        &built_in(UPSTREAM, at(100)),
        UPSTREAM,
        &answers(&json!([])),
        at(100),
    );
    assert!(matches!(step.verdicts.films, Verdict::Rejected(_)));
    assert_eq!(step.snapshot.records(Collection::Films).len(), 22);
}

#[test]
fn rule_7_what_a_person_accepts_is_the_new_baseline() {
    let before = baseline(&["Ponyo", "Totoro", "Arrietty"]);
    let listing = films(&["Kiki", "Porco"]);
    let step = advance_with(
        &before,
        UPSTREAM,
        &answers(&listing),
        Trust::Accepting,
        at(160),
    );
    assert_eq!(step.verdicts.films, Verdict::Baseline);
    let ids: Vec<_> = step
        .snapshot
        .records(Collection::Films)
        .iter()
        .map(shared::catalogue::Record::id)
        .collect();
    assert_eq!(ids, ["kiki", "porco"]);
    assert!(step.released.is_empty() && step.snapshot.releases.is_empty());
    assert_eq!(step.snapshot.generation, before.generation + 1);
    // The collections that were not suspicious are merged as usual.
    assert_eq!(step.verdicts.people, Verdict::Unchanged);

    let ordinary = answers(&films(&["Kiki", "Porco", "Marnie"]));
    let step = advance_with(
        &step.snapshot,
        UPSTREAM,
        &ordinary,
        Trust::Accepting,
        at(220),
    );
    assert!(matches!(step.verdicts.films, Verdict::Changed(_)));
    assert_eq!(step.released.len(), 1);
}

#[test]
fn rule_6_only_a_person_prunes_what_was_withdrawn() {
    let before = baseline(&["Ponyo", "Totoro"]);
    assert!(prune(&before, at(150)).is_none());
    let step = advance(&before, UPSTREAM, &answers(&films(&["Totoro"])), at(160));
    let (after, pruned) = prune(&step.snapshot, at(200)).unwrap();
    assert_eq!(pruned.films, ["ponyo"]);
    assert_eq!(after.records(Collection::Films).len(), 1);
    assert_eq!(after.generation, step.snapshot.generation + 1);
    assert!(after.collections.films.withdrawn.is_empty());
    // Listed again, it is appended. It belonged to the baseline, so it is announced only now.
    let again = advance(
        &after,
        UPSTREAM,
        &answers(&films(&["Ponyo", "Totoro"])),
        at(260),
    );
    assert_eq!(again.snapshot.records(Collection::Films).len(), 2);
}

/// An upstream that replaces a sixth of its films with each sync; that alone is not suspicious.
#[test]
fn what_is_known_does_not_grow_for_ever() {
    let film = |number: usize| json!({"id": number, "ballast": "x".repeat(1000)});
    let page = |sync: usize| -> Value { (sync * 100..sync * 100 + 600).map(film).collect() };
    let step_from = |before: &Snapshot, sync| {
        let mut fetched = quiet();
        fetched.films = sent(&page(sync));
        advance(before, UPSTREAM, &fetched, at(1_800_000_000))
    };
    let mut snapshot = built_in(UPSTREAM, at(0));
    let mut sync = 0;
    let rejected = loop {
        let step = step_from(&snapshot, sync);
        if step.verdicts.films.reason().is_some() {
            break step;
        }
        snapshot = step.snapshot;
        sync += 1;
    };
    assert_eq!(
        sync, 5,
        "600 films, then 100 more each time, of a thousand bytes"
    );
    let reason = rejected.verdicts.films.reason().unwrap();
    assert!(reason.contains("larger than 1048576 bytes"), "{reason}");
    assert!(reason.ends_with(&format!("({SEEN})")), "{reason}");
    assert_eq!(
        rejected.snapshot, snapshot,
        "not even the validator is taken"
    );

    // After the withdrawn records are removed, there is room again.
    let pruned = prune(&snapshot, at(0)).unwrap().0;
    assert_eq!(step_from(&pruned, sync).verdicts.films.reason(), None);
}

proptest! {
    /// Whatever the upstream does after the baseline, each new film is appended once and announced
    /// once.
    #[test]
    fn films_are_only_appended_and_announced_once(
        cycles in proptest::collection::vec(proptest::collection::vec(0..9u8, 0..9), 1..8)
    ) {
        let mut snapshot = baseline(&["Ponyo"]);
        for (cycle, ids) in (0..).zip(cycles) {
            let titles: Vec<_> = ids.iter().map(|id| format!("Film {id}")).collect();
            let titles: Vec<_> = titles.iter().map(String::as_str).collect();
            let next = advance(&snapshot, UPSTREAM, &answers(&films(&titles)), at(200 + cycle)).snapshot;
            let (before, after) = (snapshot.records(Collection::Films), next.records(Collection::Films));
            let ids = |records: &[shared::catalogue::Record]| {
                records.iter().map(|record| record.id().to_owned()).collect::<Vec<_>>()
            };
            prop_assert_eq!(&ids(after)[..before.len()], &ids(before)[..]);
            prop_assert!(next.generation >= snapshot.generation);
            let announced: Vec<_> = next.releases.iter().map(|release| release.id.clone()).collect();
            prop_assert_eq!(&ids(after)[1..], &announced[..]);
            snapshot = next;
        }
    }
}
