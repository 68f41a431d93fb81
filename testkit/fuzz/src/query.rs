//! Any query string, over a catalogue in which every value is awkward.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use server::query::{Plan, Shown};

type Record = Map<String, Value>;

/// Far above the few milliseconds of the worst query, so that a busy machine passes.
const LONGEST: Duration = Duration::from_secs(5);

static CATALOGUE: LazyLock<Vec<Vec<Record>>> = LazyLock::new(|| {
    let text = include_str!("../../oracle/catalogue.json");
    let collections: Map<String, Value> = serde_json::from_str(text).expect("JSON");
    let records = collections.into_iter().map(|(_, records)| records);
    records
        .map(|records| serde_json::from_value(records).expect("a list of records"))
        .collect()
});

/// The input is a query string without its `?`.
pub fn check(input: &[u8]) {
    let raw = String::from_utf8_lossy(input);
    let started = Instant::now();
    match Plan::parse(&raw) {
        Ok(plan) => {
            for records in CATALOGUE.iter() {
                selects(&plan, records);
            }
        }
        Err(bad) => explains(&bad),
    }
    match Plan::parse_for_record(&raw) {
        Ok(plan) => {
            for record in CATALOGUE.iter().flatten() {
                projects(&plan, record, &plan.project(record, &resolve));
            }
        }
        Err(bad) => {
            explains(&bad);
            let whole = Plan::parse(&raw);
            assert!(whole.is_err(), "refused for a record, so for a list too");
        }
    }
    assert!(started.elapsed() < LONGEST, "took {:?}", started.elapsed());
}

/// A record for each link whose text has one of a few lengths, so that some links resolve.
fn resolve(link: &str) -> Option<&'static Record> {
    let films = &CATALOGUE[0];
    films.get(link.len() % (2 * films.len()))
}

fn explains(bad: &server::query::BadQuery) {
    assert!(!bad.problem().is_empty());
    assert!(bad.to_string().len() < 1000, "{bad}");
}

/// A plan selects existing records, each once; a second run selects the same records.
fn selects(plan: &Plan, records: &[Record]) {
    let selection = plan.apply(records, &resolve);
    assert_eq!(selection, plan.apply(records, &resolve));
    assert!(selection.records.len() <= records.len());
    assert!(selection.total.is_none_or(|total| total <= records.len()));
    if plan.is_plain() {
        let whole = records.iter().map(Shown::Whole);
        assert!(selection.records.into_iter().eq(whole));
        return;
    }
    let mut taken = HashSet::new();
    for selected in &selection.records {
        let from = records.iter().enumerate().find(|(place, record)| {
            let is_it = match selected {
                Shown::Whole(selected) => std::ptr::eq(*selected, *record),
                Shown::Part(_) => *selected == plan.project(record, &resolve),
            };
            is_it && !taken.contains(place)
        });
        let (place, record) = from.expect("only records that exist, each once");
        taken.insert(place);
        projects(plan, record, selected);
    }
    if let Some(links) = &selection.links {
        assert!(selection.total.is_some(), "pages are slices");
        links.header("https://mirror.example/films");
    }
}

/// A projection has some of the record's fields, in the record's order and with its values; only
/// embedded fields may differ.
fn projects(plan: &Plan, record: &Record, projected: &Shown<'_>) {
    let Shown::Part(projected) = projected else {
        assert_eq!(*projected, Shown::Whole(record));
        return;
    };
    let mut fields = record.iter();
    for (name, value) in projected {
        let (_, original) = fields
            .find(|(original, _)| *original == name)
            .expect("only fields of the record, in its order");
        let is_embedded = plan.embeds().iter().any(|embed| embed == name);
        assert!(**value == *original || is_embedded);
    }
}
