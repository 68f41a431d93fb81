use proptest::prelude::*;

use super::*;

fn ids(listing: &Listing) -> Vec<&str> {
    listing.records.iter().map(Record::id).collect()
}

/// Reads a body with this item between two good ones; returns the record that is set aside.
fn set_aside(item: &[u8]) -> SetAside {
    let body = [br#"[{"id":"first"}, "#, item, br#" , {"id":"last"}]"#].concat();
    let listing = Listing::read(&body).unwrap();
    assert_eq!(ids(&listing), ["first", "last"]);
    let [one] = &listing.set_aside[..] else {
        panic!("{:?}", listing.set_aside);
    };
    assert_eq!((one.index, one.place), (1, 1));
    one.clone()
}

#[test]
fn rule_3_anything_but_an_array_is_rejected() {
    let rejection = |body: &[u8]| Listing::read(body).unwrap_err().to_string();
    for no_json in [
        "<!DOCTYPE html>",
        r#"[{"id":"a"}, {"id"#,
        r#"[{"id":"a"}] x"#,
        "[{\"id\":\"a\"}]\0",
        r#"[{"id":"a"},]"#,
        r#"[{"id":"a"} {"id":"b"}]"#,
        r#"{"id":"a"},{"id":"b"}"#,
        "[{\"id\":\"a line\nbreak\"}]",
        r#"[{"id":"\x"}]"#,
        "\u{feff}\u{feff}[]",
    ] {
        let reason = rejection(no_json.as_bytes());
        assert!(reason.starts_with("not JSON: "), "{no_json}: {reason}");
    }
    for blank in ["", " \r\n\t", "\u{feff}", "\u{feff} "] {
        assert_eq!(
            rejection(blank.as_bytes()),
            "empty, expected an array of records"
        );
    }
    for (other, kind) in [
        ("{}", "an object"),
        (r#" {"error":"\ud800"}"#, "an object"),
        ("null", "null"),
        ("\"[]\"", "a string"),
        ("-7", "a number"),
        ("false", "a boolean"),
    ] {
        assert_eq!(
            rejection(other.as_bytes()),
            format!("expected an array of records, got {kind}")
        );
    }
}

#[test]
fn rule_3_other_encodings_than_utf_8_are_named() {
    let text = r#"[{"id":"a"}]"#;
    let wide =
        |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
    let wider = |order: fn(u32) -> [u8; 4]| -> Vec<u8> {
        text.chars().map(u32::from).flat_map(order).collect()
    };
    for (body, name) in [
        (wide(u16::to_le_bytes), "UTF-16"),
        (wide(u16::to_be_bytes), "UTF-16"),
        (
            [&[0xff, 0xfe], &wide(u16::to_le_bytes)[..]].concat(),
            "UTF-16",
        ),
        (
            [&[0xfe, 0xff], &wide(u16::to_be_bytes)[..]].concat(),
            "UTF-16",
        ),
        (wider(u32::to_le_bytes), "UTF-32"),
        (wider(u32::to_be_bytes), "UTF-32"),
    ] {
        assert_eq!(
            Listing::read(&body),
            Err(Rejection::NotUtf8(name)),
            "{body:?}"
        );
    }
}

#[test]
fn rule_3_a_byte_order_mark_and_blanks_around_mean_nothing() {
    let plain = Listing::read(br#"[{"id":"a"}]"#).unwrap();
    for (before, after) in [("\u{feff}", ""), ("\r\n ", "\n\n"), ("\u{feff}\n", "\t")] {
        let body = format!(r#"{before}[{{"id":"a"}}]{after}"#);
        assert_eq!(Listing::read(body.as_bytes()).as_ref(), Ok(&plain));
    }
    assert_eq!(Listing::read(b"[ ]"), Ok(Listing::default()));
}

#[test]
fn rule_3_a_record_that_cannot_be_used_is_set_aside_with_the_reason() {
    let reason = |item: &[u8]| set_aside(item).to_string();
    assert_eq!(reason(b"7"), "item 1 is a number, expected an object");
    assert_eq!(reason(b"[[{}]]"), "item 1 is an array, expected an object");
    assert_eq!(
        reason(br#""},{""#),
        "item 1 is a string, expected an object"
    );
    for id in ["null", "1.5", "\"\"", "[]", "{\"id\":\"a\"}", "true"] {
        assert_eq!(
            reason(format!(r#"{{"id":{id}}}"#).as_bytes()),
            "item 1 has no usable id: it must be a string or an integer"
        );
    }
    assert_eq!(reason(b"{}"), reason(br#"{"id":null}"#));
    assert_eq!(
        reason(b"{\"id\":\"a\",\"name\":\"caf\xe9\"}"),
        "item 1 holds bytes that are not UTF-8"
    );
    assert_eq!(
        reason(b"{\"id\":\"a\",\n\"name\":\"\\ud83d\"}"),
        "item 1 holds text that cannot be stored, such as half of an emoji, at line 2 column 15 of it"
    );
}

#[test]
fn rule_3_what_could_not_be_read_back_is_set_aside() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        let body = format!(r#"[{{"id":"a","x":{open}{close}}}]"#);
        Listing::read(body.as_bytes()).unwrap()
    };
    assert_eq!(ids(&nested(DEEPEST)), ["a"]);
    for levels in [DEEPEST + 1, 128, 100_000] {
        let listing = nested(levels);
        assert!(listing.records.is_empty());
        assert_eq!(listing.set_aside[0].flaw, Flaw::TooDeep);
        assert_eq!(listing.set_aside[0].id.as_deref(), Some("a"));
    }
    let endless = Listing::read("[".repeat(100_000).as_bytes());
    assert!(matches!(endless, Err(Rejection::NotJson(_))));
    // The parser takes this object for a number, and would not write it as it was read.
    let magic = br#"{"id":"a","x":{"$serde_json::private::Number":"no number"}}"#;
    assert!(matches!(set_aside(magic).flaw, Flaw::NotText { .. }));
    let magic = br#"{"$serde_json::private::Number":"5","id":"a"}"#;
    assert!(matches!(set_aside(magic).flaw, Flaw::NotText { .. }));
    let magic = br#"{"$serde_json::private::Number":"5"}"#;
    assert_eq!(set_aside(magic).flaw, Flaw::NoId);
}

#[test]
fn rule_3_the_id_of_a_record_is_found_whatever_else_it_holds() {
    let deep = format!(
        r#"{{"x":{}{}, "id":"a"}}"#,
        "[".repeat(1000),
        "]".repeat(1000)
    );
    for (item, id) in [
        (&br#"{"id":"a","x":"\udc00"}"#[..], Some("a")),
        (br#"{ "x" : "\udc00\\" , "id" : "a" }"#, Some("a")),
        (br#"{"\ud800":1,"id":-7}"#, Some("-7")),
        (br#"{"\u0069d":"a","x":"\ud800"}"#, Some("a")),
        (b"{\"\xff\":\"\xff\",\"id\":\"a\"}", Some("a")),
        (br#"{"id":"b","id":"a","x":"\ud800"}"#, Some("a")),
        (br#"{"x":{"id":"b"},"y":"\ud800,\"id\":\"c\""}"#, None),
        (br#"{"id":"\ud800"}"#, None),
        (b"{\"id\":\"\xff\"}", None),
        (br#"{"id":1.5}"#, None),
        (br#"["id"]"#, None),
        (deep.as_bytes(), Some("a")),
    ] {
        let shown = String::from_utf8_lossy(item);
        assert_eq!(set_aside(item).id.as_deref(), id, "{shown}");
    }
}

#[test]
fn rule_3_an_integer_id_counts_by_its_text() {
    let listing = Listing::read(br#"[{"id":7},{"id":"7"}]"#).unwrap();
    assert_eq!(listing.records.len(), 1);
    assert_eq!(listing.duplicates, ["7"]);
}

#[test]
fn rule_8_of_duplicate_ids_the_first_wins() {
    let body = br#"[{"id":"a","n":1},{"id":"a","n":2},{"id":"b"},{"id":"a","n":3}]"#;
    let listing = Listing::read(body).unwrap();
    assert_eq!(listing.records[0].fields()["n"], 1);
    assert_eq!(listing.records.len(), 2);
    assert_eq!(listing.duplicates, ["a"]);
}

#[test]
fn rule_8_the_first_is_the_first_that_can_be_used() {
    let body = br#"[{"id":"a","n":"\ud800"},{"id":"a","n":2}]"#;
    let listing = Listing::read(body).unwrap();
    assert_eq!(listing.records[0].fields()["n"], 2);
    assert_eq!((listing.duplicates.len(), listing.set_aside.len()), (0, 1));
}

#[test]
fn rule_8_a_body_full_of_duplicates_costs_no_more_than_another() {
    // Comparing every pair would take longer than all other tests together.
    let ids = (0..200_000).map(|n| format!(r#"{{"id":{}}}"#, n % 100_000));
    let body = format!("[{}]", ids.collect::<Vec<_>>().join(","));
    let listing = Listing::read(body.as_bytes()).unwrap();
    assert_eq!(
        (listing.records.len(), listing.duplicates.len()),
        (100_000, 100_000)
    );
}

#[test]
fn a_record_leaves_as_it_came() {
    let body = r#"[{"zeta":1.0,"id":"a","big":12345678901234567890123,"x":{"b":1,"a":[]}}]"#;
    let listing = Listing::read(body.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&listing.records).unwrap(), body);
}

/// One item of an answer: its text, and its id if the item is good.
fn item() -> impl Strategy<Value = (Vec<u8>, Option<String>)> {
    let good = prop_oneof![
        Just(r#"{"id":"ID"}"#),
        Just(r#" {"x": [1, {"id": "inner"}], "id":"ID", "y": "], \" {\\"}"#),
        Just("{\n  \"id\": \"ID\",\n  \"t\": \"\\ud83d\\ude00\"\n}"),
    ];
    let good = (good, "[a-z]{1,9}")
        .prop_map(|(text, id): (&str, String)| (text.replace("ID", &id).into_bytes(), Some(id)));
    let deep = format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let bad = prop_oneof![
        Just(br#"{"id":"a","x":"\ud83d"}"#.to_vec()),
        Just(br#"{"id":"a","\ude00":1}"#.to_vec()),
        Just(b"{\"id\":\"a\",\"x\":\"\xff\xfe\"}".to_vec()),
        Just(deep.into_bytes()),
        Just(br#"{"id":1.5}"#.to_vec()),
        Just(br#"{"id":null, "x":"]},{"}"#.to_vec()),
        Just(b"{}".to_vec()),
        Just(b"[ ]".to_vec()),
        Just(b"null".to_vec()),
        Just(br#""a string, [""#.to_vec()),
    ];
    prop_oneof![good, bad.prop_map(|text| (text, None))]
}

proptest! {
    #[test]
    fn rule_3_the_good_records_arrive_in_order_whatever_stands_between_them(
        items in prop::collection::vec(item(), 0..30),
    ) {
        let texts: Vec<_> = items.iter().map(|(text, _)| text.as_slice()).collect();
        let body = [b"[", &texts.join(&b","[..])[..], b"]\n"].concat();
        let listing = Listing::read(&body).unwrap();
        let mut seen = HashSet::new();
        let good = items.iter().filter_map(|(_, id)| id.as_deref());
        let good: Vec<_> = good.filter(|id| seen.insert(*id)).collect();
        prop_assert_eq!(ids(&listing), good);
        let bad = (0..).zip(&items).filter(|(_, (_, id))| id.is_none());
        let bad: Vec<usize> = bad.map(|(index, _)| index).collect();
        let set_aside: Vec<_> = listing.set_aside.iter().map(|one| one.index).collect();
        prop_assert_eq!(set_aside, bad);
    }
}
