//! Properties of every query string, and the limits.

use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use server::query::{Plan, Shown};

type Record = Map<String, Value>;

fn records() -> Vec<Record> {
    let all = json!([
        {"id": "1", "title": "Kettle", "year": "1986", "score": 95, "tags": ["a", {"b": [null, true]}], "size": {"w": 1}},
        {"id": 2, "title": "", "year": 1988, "score": null, "tags": "a", "__proto__": {"x": 1}},
        {"id": "3", "title": "😀 é", "score": 1e21, "tags": [], "constructor": "own", "people": ["l/1", "l/"]},
        {"length": 5, "toString": "own", "a.b": false},
        {},
    ]);
    let Value::Array(all) = all else {
        unreachable!()
    };
    all.iter()
        .map(|record| record.as_object().expect("an object").clone())
        .collect()
}

fn titles(query: &str) -> Vec<String> {
    let records = records();
    let selection = Plan::parse(query)
        .expect("a good query")
        .apply(&records, &|_| None);
    let ids = selection.records.iter().map(|record| {
        json!(record)
            .get("id")
            .map_or("-".into(), ToString::to_string)
    });
    ids.map(|id| id.replace('"', "")).collect()
}

fn problem(query: &str) -> String {
    Plan::parse(query).expect_err("a bad query").to_string()
}

/// Strings, most of which look like queries.
fn queries() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("title"),
        Just("year"),
        Just("score"),
        Just("tags"),
        Just("tags.0"),
        Just("size.w"),
        Just("a.b"),
        Just("title.length"),
        Just("q"),
        Just("_sort"),
        Just("_order"),
        Just("_page"),
        Just("_limit"),
        Just("_start"),
        Just("_end"),
        Just("limit"),
        Just("fields"),
        Just("callback"),
        Just("_embed"),
        Just("__proto__"),
        Just("constructor"),
        Just("toString"),
        Just("[]"),
        Just("[0]"),
        Just(""),
    ];
    let suffix = prop_oneof![
        Just(""),
        Just("_ne"),
        Just("_gte"),
        Just("_lte"),
        Just("_like"),
        Just("[]"),
        Just("[x]"),
        Just("[999]"),
        Just("[1000]"),
        Just("[a][b][c][d][e][f]"),
        Just("[toString]"),
    ];
    let value = prop_oneof![
        "[-+]?[0-9]{1,25}(\\.[0-9]{1,3})?(e[-+]?[0-9]{1,3})?",
        "[a-z%+&=\\[\\]]{0,6}",
        "(\\\\.|[\\[\\](){}|^$*+?.a😀,-]){0,10}",
        "\\PC{0,6}",
        Just("DESC".to_owned()),
        Just("people".to_owned()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
    ];
    let piece =
        (name, suffix, value).prop_map(|(name, suffix, value)| format!("{name}{suffix}={value}"));
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.join("&"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(raw in "\\PC*") {
        let _ = Plan::parse(&raw);
        let _ = Plan::parse_for_record(&raw);
    }

    #[test]
    fn any_bytes_are_read_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let escaped = percent_encoding::percent_encode(&raw, percent_encoding::NON_ALPHANUMERIC);
        let _ = Plan::parse(&format!("q={escaped}&title_like={escaped}&{escaped}"));
    }

    #[test]
    fn every_selected_record_is_a_known_one_and_selected_once(raw in queries()) {
        let records = records();
        if let Ok(plan) = Plan::parse(&raw) {
            let selection = plan.apply(&records, &|link| records.iter().find(|_| link == "l/1"));
            let mut free: Vec<Option<&Record>> = records.iter().map(Some).collect();
            for record in &selection.records {
                let place = free.iter_mut().find(|known| known.is_some_and(|known| match record {
                    Shown::Whole(record) => std::ptr::eq(*record, known),
                    Shown::Part(fields) => fields.iter().all(|(name, _)| known.contains_key(*name)),
                }));
                prop_assert!(place.is_some_and(|place| place.take().is_some()), "{raw}");
            }
            if let Some(total) = selection.total {
                prop_assert!(total >= selection.records.len() && total <= records.len());
            }
            if plan.is_plain() {
                prop_assert_eq!(selection.records.len(), records.len());
            }
            for record in &records {
                let shown = json!(plan.project(record, &|_| None));
                prop_assert!(shown.as_object().unwrap().len() <= record.len());
            }
        }
    }
}

#[test]
fn a_query_that_cannot_change_the_answer_is_plain() {
    let plain = |query: &str| Plan::parse(query).unwrap().is_plain();
    for query in [
        "",
        "&&",
        "_=1700000000",
        "q=&_sort=&_limit=",
        "_order=DESC",
        "_start=3",
        "_embed=nope",
        "callback=",
    ] {
        assert!(plain(query), "{query}");
    }
    // Some record may have a field of that name.
    for query in [
        "v=2",
        "limit=",
        "_page=",
        "callback=fn",
        "q=x",
        "_embed=people",
        "limit=250",
    ] {
        assert!(!plain(query), "{query}");
    }
}

#[test]
fn values_are_decoded_as_the_client_encoded_them() {
    assert_eq!(titles("year=1986"), ["1"]);
    assert_eq!(titles("year=1988"), ["2"]);
    assert_eq!(titles("year_ne=1986"), ["2", "3", "-", "-"]);
    assert_eq!(titles("a.b=false"), ["-"]);
    assert_eq!(titles("year=1986&year=1988"), ["1", "2"]);
    assert_eq!(titles("nope=1"), ["1", "2", "3", "-", "-"]);
    assert_eq!(titles("toString=own&constructor=own"), [""; 0]);
}

#[test]
fn lists_and_objects_are_found_by_their_parts() {
    assert_eq!(titles("tags[0][]=a"), ["1"]);
    assert_eq!(titles("tags[0]=a&tags[0]=a"), [""; 0]);
    assert_eq!(titles("tags[0]=a"), ["2"]);
    assert_eq!(titles("size[w]=1"), [""; 0]);
}

#[test]
fn pages_lead_to_each_other() {
    let links = |query: &str| {
        let records = records();
        let selection = Plan::parse(query).unwrap().apply(&records, &|_| None);
        selection.links.map(|links| links.header("http://h/films"))
    };
    assert_eq!(
        links("_page=2&_limit=2&homepage=2").unwrap(),
        "<http://h/films?_page=1&_limit=2&homepage=2>; rel=\"first\", \
         <http://h/films?_page=1&_limit=2&homepage=2>; rel=\"prev\", \
         <http://h/films?_page=3&_limit=2&homepage=2>; rel=\"next\", \
         <http://h/films?_page=3&_limit=2&homepage=2>; rel=\"last\""
    );
    assert_eq!(links("_page=1"), Some(String::new()));
    assert_eq!(links("_page=9&_limit=2"), Some(String::new()));
    assert_eq!(links("_limit=2"), None);
}

#[test]
fn mixed_values_sort_without_an_order_among_them() {
    assert_eq!(titles("_sort=year"), ["1", "2", "3", "-", "-"]);
    assert_eq!(titles("_sort=score&_order=DESC"), ["-", "-", "2", "3", "1"]);
}

#[test]
fn embedding_replaces_links_with_records() {
    let film =
        json!({"people": ["p/1", "p/", "TODO"], "species": "s/", "pilot": "p/1", "title": "p/1"});
    let rin = json!({"id": "1", "name": "Rin"});
    let resolve = |link: &str| rin.as_object().filter(|_| link == "p/1");
    let plan = Plan::parse_for_record(
        "_embed=people&_embed=species&_expand=pilot&_embed=title&_embed=nope",
    )
    .unwrap();
    assert_eq!(plan.embeds(), ["people", "species", "pilot"]);
    let shown = plan.project(film.as_object().unwrap(), &resolve);
    let expected = json!({"people": [rin], "species": null, "pilot": rin, "title": "p/1"});
    assert_eq!(json!(shown), expected);
}

#[test]
fn callbacks_are_reduced_to_names() {
    let name = |query: &str| Plan::parse(query).unwrap().callback().map(str::to_owned);
    assert_eq!(
        name("callback=jQuery.x[0]<script>"),
        Some("jQuery.x[0]script".to_owned())
    );
    assert_eq!(name("callback=%28%29"), Some(String::new()));
    assert_eq!(name("callback="), None);
    assert_eq!(name("callback=a&callback=b"), Some("a".to_owned()));
}

#[test]
fn problems_name_the_parameter_and_a_valid_value() {
    for (query, expected) in [
        (
            "limit=-1",
            "`limit` has to be a whole number from 0, as in `limit=10`; it is `-1`",
        ),
        (
            "fields=a&fields=b",
            "`fields` is given 2 times; give it once, several names with commas",
        ),
        ("q=a&q=b", "`q` has to be one text, as in `q=totoro`"),
        (
            "title_like=(",
            "`title_like` is not a regular expression: a `(` is not closed; escape special characters with `\\`; it is `(`",
        ),
        (
            "title_like=(?=a)",
            "`title_like` uses look-ahead, which is not supported; write the pattern without it; it is `(?=a)`",
        ),
    ] {
        assert_eq!(problem(query), expected);
    }
    assert!(Plan::parse_for_record("limit=-1&title_like=(&q[]=").is_ok());
    assert!(Plan::parse_for_record("fields=a&fields=b").is_err());
}

#[test]
fn every_part_of_a_query_has_a_limit() {
    let many = |count| vec!["title=a"; count].join("&");
    assert!(Plan::parse(&many(64)).is_ok());
    assert!(problem(&many(65)).starts_with("`title` goes beyond 64 conditions"));
    let patterns = |count| vec!["title_like=a"; count].join("&");
    assert!(Plan::parse(&patterns(8)).is_ok());
    assert!(problem(&patterns(9)).starts_with("`title_like` goes beyond 8 patterns"));
    assert!(problem(&format!("q={}", "a".repeat(4095))).starts_with("`query` string is longer"));
    let large = |count| vec!["title_like=[ -Z]{1,1000}"; count].join("&");
    assert!(Plan::parse(&large(2)).is_ok());
    assert!(problem(&large(3)).starts_with("`title_like` is too large a pattern"));
    assert!(
        problem(&format!("title_like={}", "a".repeat(2049)))
            .starts_with("`title_like` is a pattern of more")
    );
    assert!(problem("title_like=((a{99}){99}){99}").starts_with("`title_like` is too large"));
    assert!(problem(&format!("callback={}", "a".repeat(129))).starts_with("`callback` is longer"));
}

#[test]
fn hostile_patterns_take_linear_time() {
    let text = "ａé a".repeat(2000);
    let record = json!({ "title": text });
    let record = record.as_object().unwrap();
    for pattern in [
        "(.*.*)*x",
        "(a|b|ab|ba){100}",
        "([^]\\W)*\\b(\\W*a)*!",
        "(x%2Bx%2B)%2By",
        "\\B.*\\b.*\\B!",
    ] {
        let plan = Plan::parse(&vec![format!("title_like={pattern}"); 8].join("&")).unwrap();
        let start = Instant::now();
        assert!(
            plan.apply([record], &|_| None).records.is_empty(),
            "{pattern}"
        );
        assert!(start.elapsed().as_secs() < 5, "{pattern}");
    }
}
