//! Any bodies from the upstream, over several cycles, from a cold start.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use poller::cycle::step::{Step, Trust, advance};
use poller::cycle::verdict::Verdict;
use poller::upstream::{Failure, Fetched};
use serde_json::Value;
use shared::catalogue::lineage::Lineage;
use shared::catalogue::snapshot::{FORMAT, Held, Snapshot, Source};
use shared::catalogue::{Collection, Listing, PerCollection, Record};

const UPSTREAM: &str = "https://upstream.example";

/// More cycles show nothing new.
const CYCLES: usize = 12;

/// Each line of the input is the initial of a collection and the body that the upstream sends for
/// it; without a body, the upstream does not answer. A line of `-` ends a cycle. Collections
/// without a line are not modified.
pub fn check(input: &[u8]) {
    let mut at = DateTime::from_timestamp(1_800_000_000, 0).expect("is in range");
    let mut snapshot = cold_start(at);
    for cycle in cycles(input).take(CYCLES) {
        at += TimeDelta::minutes(1);
        let fetched = PerCollection::from_fn(|collection| fetched(cycle[collection]));
        let step = advance(&snapshot, UPSTREAM, &fetched, Trust::Suspicious, at);
        goes_forward(&snapshot, &step);
        for (collection, fetched) in fetched.iter() {
            takes(collection, fetched, &snapshot, &step);
            if let Fetched::Sent { listing, .. } = fetched {
                keeps_what_was_sent(cycle[collection].expect("was sent"), listing);
            }
        }
        let stored = Snapshot::from_json(step.snapshot.to_json().as_bytes());
        assert_eq!(stored.as_ref(), Ok(&step.snapshot));
        snapshot = step.snapshot;
    }
}

type Cycle<'a> = PerCollection<Option<&'a [u8]>>;

fn cycles(input: &[u8]) -> impl Iterator<Item = Cycle<'_>> {
    let lines: Vec<_> = input.split(|byte| *byte == b'\n').collect();
    let cycles: Vec<_> = lines.split(|line| *line == b"-").map(cycle).collect();
    cycles.into_iter()
}

fn cycle<'a>(lines: &[&'a [u8]]) -> Cycle<'a> {
    let mut cycle = Cycle::default();
    for line in lines {
        let Some((initial, body)) = line.split_first() else {
            continue;
        };
        let collection = Collection::ALL
            .into_iter()
            .find(|collection| collection.name().as_bytes()[0] == *initial);
        if let Some(collection) = collection {
            cycle[collection] = Some(body);
        }
    }
    cycle
}

fn fetched(body: Option<&[u8]>) -> Fetched {
    match body {
        None => Fetched::NotModified,
        Some([]) => Fetched::Failed(Failure::TimedOut.into()),
        Some(body) => match Listing::read(body) {
            Ok(listing) => Fetched::Sent {
                listing,
                etag: (body.len() % 2 == 0).then(|| format!("\"{}\"", body.len())),
                seen: String::new(),
            },
            Err(rejection) => Fetched::Failed(Failure::from(rejection).into()),
        },
    }
}

/// A built-in catalogue of one record each.
fn cold_start(at: DateTime<Utc>) -> Snapshot {
    let built_in = Listing::read(br#"[{"id":"built-in"}]"#).expect("is a collection");
    Snapshot {
        format: FORMAT,
        generation: 1_800_000_000,
        lineage: Lineage::default(),
        committed_at: at,
        upstream: UPSTREAM.into(),
        releases: Vec::new(),
        collections: PerCollection::from_fn(|_| {
            let nothing = Held::empty(Source::BuiltIn, at);
            nothing.merge(&built_in, at).0
        }),
    }
}

/// A change of content makes one new generation, no change makes none; the release log only grows.
fn goes_forward(before: &Snapshot, step: &Step) {
    let after = &step.snapshot;
    let content = Collection::ALL
        .iter()
        .any(|one| content(&before.collections[*one]) != content(&after.collections[*one]));
    let announced = step
        .verdicts
        .iter()
        .any(|(_, verdict)| verdict.is_new_content());
    assert!(announced || !content);
    assert_eq!(
        after.generation,
        before.generation + u64::from(announced),
        "one generation for each change"
    );
    let (known, new) = after.releases.split_at(before.releases.len());
    assert_eq!(known, before.releases);
    assert_eq!(new, step.released);
    let mut seen = HashSet::new();
    for (place, release) in after.releases.iter().enumerate() {
        assert_eq!(release.sequence, place as u64 + 1);
        assert!(seen.insert(&release.id), "announced twice: {}", release.id);
    }
}

fn content(held: &Held) -> (&[Record], &BTreeMap<String, DateTime<Utc>>) {
    (&held.records, &held.withdrawn)
}

/// Checks what one fetch did to one collection.
fn takes(collection: Collection, fetched: &Fetched, before: &Snapshot, step: &Step) {
    let (before, after) = (
        &before.collections[collection],
        &step.snapshot.collections[collection],
    );
    let verdict = &step.verdicts[collection];
    let Fetched::Sent { listing, etag, .. } = fetched else {
        assert_eq!(before, after);
        assert_eq!(
            verdict.reason().is_none(),
            matches!(fetched, Fetched::NotModified)
        );
        return;
    };
    let built_in = before.source == Source::BuiltIn;
    if takes_too_much(before, listing, built_in) {
        assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
        assert_eq!(before, after);
        return;
    }
    assert_eq!(&after.etag, etag);
    assert_eq!(after.source, Source::Upstream);
    assert_eq!(step.duplicates[collection], listing.duplicates);
    assert_eq!(
        step.set_aside[collection].as_ref(),
        Some(&listing.set_aside)
    );
    if built_in {
        assert_eq!(verdict, &Verdict::Baseline);
        begins(before, listing, after);
        return;
    }
    assert_eq!(
        verdict == &Verdict::Unchanged,
        content(before) == content(after)
    );
    merges(before, listing, after);
}

/// Sync rule 7, written a second time in another way.
fn takes_too_much(known: &Held, listing: &Listing, built_in: bool) -> bool {
    if listing.records.is_empty() {
        return !known.records.is_empty();
    }
    let sent: HashSet<_> = listing.records.iter().map(Record::id).collect();
    let listed = known.records.iter().map(Record::id);
    let listed: Vec<_> = listed
        .filter(|id| !known.withdrawn.contains_key(*id))
        .collect();
    let gone = listed.iter().filter(|id| !sent.contains(*id)).count();
    !built_in && gone > 1 && 5 * gone > listed.len()
}

/// Whether an answer holds a record only in unusable forms.
fn is_set_aside(listing: &Listing, id: &str) -> bool {
    let mut set_aside = listing.set_aside.iter();
    let mut sent = listing.records.iter();
    set_aside.any(|one| one.id.as_deref() == Some(id)) && !sent.any(|record| record.id() == id)
}

/// Checks a first sync: what the upstream sent, in its order, and the built-in form of records that
/// the poller set aside.
fn begins(built_in: &Held, listing: &Listing, after: &Held) {
    let (kept, sent): (Vec<_>, Vec<_>) = after
        .records
        .iter()
        .partition(|record| is_set_aside(listing, record.id()));
    assert!(sent.into_iter().eq(&listing.records));
    let known = built_in.records.iter();
    let expected: Vec<_> = known
        .filter(|record| is_set_aside(listing, record.id()))
        .collect();
    assert_eq!(kept, expected, "there is one at most");
    assert!(after.withdrawn.is_empty());
}

/// Sync rules 3 to 6, written a second time in another way.
fn merges(before: &Held, listing: &Listing, after: &Held) {
    let (kept, appended) = after.records.split_at(before.records.len());
    let mut sent: Vec<_> = listing.records.iter().collect();
    for (record, known) in kept.iter().zip(&before.records) {
        assert_eq!(record.id(), known.id(), "known records keep their places");
        let place = sent.iter().position(|sent| sent.id() == known.id());
        let content = place.map_or(known, |place| sent.remove(place));
        assert_eq!(record, content);
        let is_withdrawn = if is_set_aside(listing, known.id()) {
            before.withdrawn.contains_key(known.id())
        } else {
            place.is_none()
        };
        assert_eq!(after.withdrawn.contains_key(known.id()), is_withdrawn);
    }
    assert!(appended.iter().eq(sent), "new ones follow in their order");
}

/// Checks that the first usable record of each id stays as sent; every item is one of the three.
fn keeps_what_was_sent(body: &[u8], listing: &Listing) {
    for one in &listing.set_aside {
        assert!(one.place <= listing.records.len() && one.place <= one.index);
        assert!(one.to_string().len() < 200, "{one}");
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // In a broken text, a plain parser cannot separate the items.
    let Ok(items) = serde_json::from_slice::<Vec<Value>>(body) else {
        assert!(!listing.set_aside.is_empty());
        return;
    };
    let is_aside = |index| listing.set_aside.iter().any(|one| one.index == index);
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let id = item.get("id").filter(|_| item.is_object());
        let id = id.and_then(|id| match id {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            _ => None,
        });
        match id {
            Some(id) if !is_aside(index) => {
                if seen.insert(id) {
                    first.push(item.to_string());
                }
            }
            Some(_) => assert!(depth(item) > 64, "{item}"),
            None => assert!(is_aside(index), "{item}"),
        }
    }
    let text = |record: &Record| serde_json::to_string(record.fields()).expect("JSON");
    let kept: Vec<_> = listing.records.iter().map(text).collect();
    assert_eq!(kept, first);
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
