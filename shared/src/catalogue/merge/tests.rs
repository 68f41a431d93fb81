use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn listing(items: &serde_json::Value) -> Listing {
    Listing::read(items.to_string().as_bytes()).unwrap()
}

fn nothing() -> Held {
    Held::empty(Source::Upstream, at(0))
}

fn known(items: &serde_json::Value) -> Held {
    nothing().merge(&listing(items), at(0)).0
}

fn ids(held: &Held) -> Vec<&str> {
    held.records.iter().map(Record::id).collect()
}

#[test]
fn rule_4_new_records_are_appended_in_the_upstreams_order() {
    let known = known(&json!([{"id": "b"}, {"id": "a"}]));
    let sent = listing(&json!([{"id": "d"}, {"id": "a"}, {"id": "c"}, {"id": "b"}]));
    let (merged, changes) = known.merge(&sent, at(1));
    assert_eq!(ids(&merged), ["b", "a", "d", "c"]);
    assert_eq!(changes.appended, ["d", "c"]);
    assert!(changes.updated.is_empty());
}

#[test]
fn rule_5_a_changed_record_is_replaced_in_place_and_named_by_field() {
    let known =
        known(&json!([{"id": "a", "title": "Totoro", "score": "9", "old": 1}, {"id": "b"}]));
    let sent =
        listing(&json!([{"id": "a", "title": "Totoro", "score": "93", "new": 2}, {"id": "b"}]));
    let (merged, changes) = known.merge(&sent, at(1));
    assert_eq!(ids(&merged), ["a", "b"]);
    assert_eq!(merged.records[0].text("score"), Some("93"));
    assert_eq!(changes.updated[0].fields, ["score", "new", "old"]);
}

#[test]
fn rule_5_another_key_order_is_a_change_without_fields() {
    let known = known(&json!([{"id": "a", "x": 1, "y": {"p": 1, "q": 2}}]));
    let reordered = listing(&json!([{"x": 1, "id": "a", "y": {"p": 1, "q": 2}}]));
    let (merged, changes) = known.merge(&reordered, at(1));
    assert_eq!(merged.records, reordered.records);
    assert_eq!(
        changes.updated,
        [Update {
            id: "a".into(),
            fields: vec![]
        }]
    );
    let nested = listing(&json!([{"id": "a", "x": 1, "y": {"q": 2, "p": 1}}]));
    assert_eq!(known.merge(&nested, at(1)).1.updated[0].fields, ["y"]);
}

#[test]
fn rule_6_what_is_no_longer_listed_stays_marked_and_loses_the_mark_when_it_returns() {
    let both = json!([{"id": "a"}, {"id": "b"}]);
    let (without, changes) = known(&both).merge(&listing(&json!([{"id": "b"}])), at(1));
    assert_eq!(ids(&without), ["a", "b"]);
    assert_eq!(without.withdrawn, BTreeMap::from([("a".to_owned(), at(1))]));
    assert_eq!(changes.withdrawn, ["a"]);
    assert!(
        without
            .merge(&listing(&json!([{"id": "b"}])), at(2))
            .1
            .is_empty()
    );

    let (again, changes) = without.merge(&listing(&both), at(3));
    assert!(again.withdrawn.is_empty());
    assert_eq!(changes.returned, ["a"]);
}

#[test]
fn rule_7_an_answer_without_a_fifth_of_the_known_ids_is_suspicious() {
    let first = |n: usize| {
        listing(&json!(
            (0..n).map(|id| json!({ "id": id })).collect::<Vec<_>>()
        ))
    };
    let known = nothing().merge(&first(10), at(0)).0;
    assert_eq!(known.suspicion(&first(8)), None);
    assert_eq!(
        known.suspicion(&first(7)),
        Some(Suspicion {
            known: 10,
            gone: 3,
            set_aside: 0
        })
    );
    assert_eq!(
        known.suspicion(&first(0)),
        Some(Suspicion {
            known: 10,
            gone: 10,
            set_aside: 0,
        })
    );
    let one = nothing().merge(&first(1), at(0)).0;
    assert_eq!(one.suspicion(&listing(&json!([{"id": "other"}]))), None);
    assert_eq!(
        one.suspicion(&first(0)),
        Some(Suspicion {
            known: 1,
            gone: 1,
            set_aside: 0
        })
    );
    assert_eq!(nothing().suspicion(&first(0)), None);
}

/// Answers with few different ids, so that merges often meet known records.
fn any_answer() -> impl Strategy<Value = Listing> {
    proptest::collection::vec((0..12u8, 0..3u8), 0..12).prop_map(|items| {
        let items: Vec<_> = items
            .into_iter()
            .map(|(id, content)| json!({"id": format!("id-{id}"), "content": content}))
            .collect();
        listing(&json!(items))
    })
}

#[test]
fn rule_12_of_two_copies_the_later_content_counts_and_what_either_lists_is_listed() {
    let both = known(&json!([{"id": "a", "n": 1}, {"id": "b", "n": 1}]));
    let ours = both.merge(&listing(&json!([{"id": "a", "n": 2}])), at(1)).0;
    let theirs = both
        .merge(
            &listing(&json!([{"id": "b", "n": 3}, {"id": "a", "n": 3}])),
            at(2),
        )
        .0;
    let joined = ours.join(&theirs);
    assert_eq!(
        joined.records,
        known(&json!([{"id": "a", "n": 3}, {"id": "b", "n": 3}])).records
    );
    assert!(joined.withdrawn.is_empty());
    assert_eq!(joined.changed_at("a"), Some(at(2)));
    assert_eq!(theirs.join(&ours), joined);

    let neither = both.merge(&listing(&json!([{"id": "b", "n": 1}])), at(1)).0;
    assert!(
        neither
            .join(&ours.merge(&listing(&json!([])), at(2)).0)
            .withdrawn
            .contains_key("a")
    );
}

/// An answer from text, for input that `json!` cannot write.
fn sent(body: &str) -> Listing {
    Listing::read(body.as_bytes()).unwrap()
}

#[test]
fn rule_3_a_known_record_that_is_set_aside_keeps_its_last_good_form() {
    let known = known(&json!([{"id": "a", "n": 1}, {"id": "b", "n": 1}, {"id": "c", "n": 1}]));
    let bad = sent(r#"[{"id":"a","n":2},{"id":"b","n":"\ud83d"},{"id":"new"},{"id":"c","n":1}]"#);
    let (merged, changes) = known.merge(&bad, at(1));
    assert_eq!(ids(&merged), ["a", "b", "c", "new"]);
    assert_eq!(merged.records[0].fields()["n"], 2);
    assert_eq!(merged.records[1], known.records[1]);
    assert!(merged.withdrawn.is_empty() && changes.withdrawn.is_empty());
    assert_eq!(changes.updated.len(), 1);

    let mended = sent(r#"[{"id":"a","n":2},{"id":"b","n":3},{"id":"new"},{"id":"c","n":1}]"#);
    let (merged, changes) = merged.merge(&mended, at(2));
    assert_eq!(merged.records[1].fields()["n"], 3);
    assert_eq!(changes.updated[0].id, "b");
}

/// Nobody can know whether it is the missing record. The mark goes when that record is listed again.
#[test]
fn rule_6_a_record_that_has_lost_its_id_is_withdrawn_until_it_is_back() {
    let known = known(&json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]));
    let (merged, changes) = known.merge(&sent(r#"[{"id":"a"},{"id":null},{"id":"c"}]"#), at(1));
    assert_eq!(ids(&merged), ["a", "b", "c"]);
    assert_eq!(changes.withdrawn, ["b"]);
    // The record is listed again, but unusable: so it is not back yet.
    let bad = sent(r#"[{"id":"a"},{"id":"b","n":"\ud83d"},{"id":"c"}]"#);
    let (merged, changes) = merged.merge(&bad, at(2));
    assert!(changes.is_empty() && merged.withdrawn.contains_key("b"));
    let (merged, changes) = merged.merge(
        &listing(&json!([{"id": "a"}, {"id": "b"}, {"id": "c"}])),
        at(3),
    );
    assert_eq!(changes.returned, ["b"]);
    assert!(merged.withdrawn.is_empty());
}

#[test]
fn rule_7_what_is_set_aside_counts_as_missing() {
    let known = known(&json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]));
    let suspicion = |body| known.suspicion(&sent(body));
    let one = r#"[{"id":"a"},{"id":"b","x":"\ud83d"},{"id":"c"}]"#;
    assert_eq!(suspicion(one), None);
    let two = r#"[{"id":"a"},{"id":"b","x":"\ud83d"},{"id":1.5}]"#;
    assert_eq!(
        suspicion(two).unwrap().to_string(),
        "suspicious: 2 of 3 known records are gone, and 2 that cannot be used are set aside; \
         run `ghibli-poller accept` if the upstream means it"
    );
    let all = r#"[{"id":"a","x":"\ud83d"},null]"#;
    assert_eq!(suspicion(all).unwrap().gone, 3);
    let few = nothing().merge(&sent(r#"[{"id":"a"}]"#), at(0)).0;
    assert!(few.suspicion(&sent("[7]")).is_some(), "as if it were empty");
}

#[test]
fn rule_7_what_begins_anew_keeps_the_last_good_forms_in_their_places() {
    let known = known(&json!([{"id": "a", "n": 1}, {"id": "b", "n": 1}, {"id": "gone"}]));
    let bad = r#""n":"\ud83d""#;
    let body = format!(
        r#"[{{"id":"x"}},{{"id":"b",{bad}}},{{"id":"unknown",{bad}}},null,{{"id":"y"}},{{"id":"a",{bad}}},{{"id":"b",{bad}}},{{"id":"a",{bad}}}]"#
    );
    let anew = known.begin_anew(&sent(&body), at(1));
    assert_eq!(ids(&anew), ["x", "b", "y", "a"]);
    assert_eq!(anew.records[1], known.records[1]);
    assert_eq!(anew.changed_at("b"), Some(at(0)));
    assert_eq!(anew.changed_at("x"), Some(at(1)));
    assert!(anew.withdrawn.is_empty());
    // The usable one of two with the same id counts, wherever it stands.
    let both = format!(r#"[{{"id":"b",{bad}}},{{"id":"x"}},{{"id":"b","n":2}}]"#);
    let anew = known.begin_anew(&sent(&both), at(1));
    assert_eq!(ids(&anew), ["x", "b"]);
    assert_eq!(anew.records[1].fields()["n"], 2);
}

proptest! {
    #[test]
    fn joining_copies_keeps_every_record_once_and_the_first_ones_order(
        mine in any_answer(), theirs in any_answer(),
    ) {
        let mine = nothing().merge(&mine, at(1)).0;
        let theirs = nothing().merge(&theirs, at(2)).0;
        let joined = mine.join(&theirs);
        let new = ids(&theirs).into_iter().filter(|id| !ids(&mine).contains(id));
        prop_assert_eq!(ids(&joined), ids(&mine).into_iter().chain(new).collect::<Vec<_>>());
        for record in &theirs.records {
            prop_assert!(joined.records.contains(record), "theirs is later");
        }
        prop_assert_eq!(joined.join(&theirs), joined.clone());
        prop_assert_eq!(joined.join(&mine), joined);
    }

    #[test]
    fn merging_twice_is_merging_once(first in any_answer(), second in any_answer()) {
        let known = nothing().merge(&first, at(0)).0;
        let once = known.merge(&second, at(1)).0;
        let (twice, changes) = once.merge(&second, at(2));
        prop_assert_eq!(once, twice);
        prop_assert!(changes.is_empty());
    }

    #[test]
    fn no_known_record_moves_or_is_dropped(answers in proptest::collection::vec(any_answer(), 1..6)) {
        let mut known = nothing();
        for (second, listing) in (0..).zip(&answers) {
            let (merged, changes) = known.merge(listing, at(second));
            prop_assert_eq!(&ids(&merged)[..known.records.len()], &ids(&known)[..]);
            prop_assert_eq!(merged.records.len(), known.records.len() + changes.appended.len());
            known = merged;
        }
    }

    #[test]
    fn what_is_appended_keeps_the_upstreams_order(first in any_answer(), second in any_answer()) {
        let known = nothing().merge(&first, at(0)).0;
        let (merged, changes) = known.merge(&second, at(1));
        let new: Vec<_> = second.records.iter().filter(|r| !ids(&known).contains(&r.id())).cloned().collect();
        prop_assert_eq!(&merged.records[known.records.len()..], &new[..]);
        prop_assert_eq!(changes.appended, new.iter().map(|r| r.id().to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn every_listed_record_is_served_as_sent_and_the_rest_is_marked(first in any_answer(), second in any_answer()) {
        let merged = nothing().merge(&first, at(0)).0.merge(&second, at(1)).0;
        for record in &merged.records {
            let sent = second.records.iter().find(|sent| sent.id() == record.id());
            prop_assert_eq!(sent.is_none(), merged.withdrawn.contains_key(record.id()));
            if let Some(sent) = sent {
                prop_assert_eq!(sent, record);
            }
        }
    }
}
