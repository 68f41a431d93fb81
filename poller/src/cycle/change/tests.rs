use serde_json::json;
use shared::catalogue::Listing;
use shared::catalogue::lineage::Lineage;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
}

fn release(sequence: u64, id: &str) -> Release {
    Release {
        sequence,
        id: id.to_owned(),
        title: id.to_uppercase(),
        first_seen: at(0),
    }
}

fn snapshot(generation: u64, films: &[&str], releases: &[&str]) -> Snapshot {
    let films: Vec<_> = films.iter().map(|id| json!({"id": id})).collect();
    let listing = Listing::read(json!(films).to_string().as_bytes()).expect("records");
    let mut lineage = Lineage::default();
    lineage.sign("poller", generation);
    Snapshot {
        format: FORMAT,
        generation,
        lineage,
        committed_at: at(0),
        upstream: "https://ghibli.example".to_owned(),
        releases: (1..)
            .zip(releases)
            .map(|(number, id)| release(number, id))
            .collect(),
        collections: PerCollection::from_fn(|collection| {
            let nothing = Held::empty(Source::Upstream, at(0));
            let mut held = match collection {
                Collection::Films => nothing.merge(&listing, at(0)).0,
                _ => nothing,
            };
            held.etag = Some("W/\"1\"".to_owned());
            held
        }),
    }
}

#[test]
fn what_comes_back_is_a_new_generation_and_announces_nothing_twice() {
    let past = snapshot(7, &["a", "b"], &["b"]);
    let current = snapshot(9, &["c"], &["b", "c"]);
    let after = replaced(&current, past.clone(), at(60));
    assert_eq!((after.generation, after.committed_at), (10, at(60)));
    assert_eq!(after.releases, current.releases, "c stays announced");
    assert!(after.lineage.builds_on(&current.lineage));
    let expected = without_validators(past);
    assert_eq!(after.collections.people, expected.collections.people);
    let (films, expected) = (&after.collections.films, &expected.collections.films);
    assert_eq!(films.records, expected.records);
    // A client that asks by date has c, and needs to hear of the change.
    assert_eq!((films.as_of, films.changed_at("a")), (at(60), Some(at(60))));
}

#[test]
fn an_import_adds_what_the_release_log_lacks() {
    let current = snapshot(9, &["a"], &["a"]);
    let other = snapshot(1_900_000_000, &["x", "a"], &["x", "a"]);
    let after = replaced(&current, other.clone(), at(60));
    assert_eq!(after.generation, 10, "numbers go on from the current one");
    assert_eq!(after.releases, [release(1, "a"), release(2, "x")]);
    assert!(after.lineage.builds_on(&other.lineage));
}

#[test]
fn what_came_back_is_no_younger_than_it_is() {
    let (before, after) = (snapshot(9, &["c"], &[]), snapshot(10, &["a"], &[]));
    let confirmed = Confirmation {
        rejected: false,
        confirmed_at: Some(at(50)),
        failure: Some("rejected".to_owned()),
        set_aside: 1,
    };
    let mut last = status_after(&before, &before, None, at(50));
    last.collections = PerCollection::from_fn(|_| confirmed.clone());
    let status = status_after(&before, &after, Some(last), at(60));
    assert_eq!(status.collections.people, confirmed, "the same people");
    assert_eq!(status.collections.films.confirmed_at, Some(at(0)));
    assert_eq!(status.collections.films.failure, None);

    let mut built_in = after;
    built_in.collections.films.source = Source::BuiltIn;
    let status = status_after(&before, &built_in, None, at(60));
    assert_eq!(status.collections.films.confirmed_at, None);
}
