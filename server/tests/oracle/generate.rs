//! Makes questions from a seed: all that clients send, and much that no client should send.

use std::fmt::Write;

use serde_json::Value;

use crate::{
    mirror::catalogue,
    words::{FIELDS, INHERITED, LIMITS, NONSENSE, PATHS, PATTERNS, SLICES, VALUES},
};

/// A small random number generator (`SplitMix64`); equal seeds give equal numbers everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % bound
    }

    /// True once in `times` calls, on average.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

pub(crate) const COLLECTIONS: [&str; 5] = ["films", "people", "locations", "species", "vehicles"];

/// `count` questions, each a path with or without a query.
pub(crate) fn questions(seed: u64, count: usize) -> Vec<String> {
    let mut dice = Dice(seed);
    let found: Vec<_> = COLLECTIONS.iter().flat_map(|name| facts(name)).collect();
    let found: Vec<&Fact> = found.iter().collect();
    (0..count).map(|_| question(&mut dice, &found)).collect()
}

fn question(dice: &mut Dice, found: &[&Fact]) -> String {
    let path = dice.pick(&PATHS);
    let mut pieces: Vec<_> = (0..dice.below(5)).map(|_| piece(dice, found)).collect();
    if pieces.is_empty() {
        return path.to_owned();
    }
    while dice.rarely(7) {
        // Repeat the name, sometimes in another spelling.
        let name = pieces[dice.below(pieces.len())].split(['=', '[']).next();
        let name = name.unwrap_or_default().to_owned() + dice.pick(&["", "", "[]", "[0]", "[x]"]);
        let again = name + "=" + &encoded_value(dice, found);
        pieces.push(again);
    }
    format!("{path}?{}", pieces.join("&"))
}

/// A field of the catalogue, by its path, and the text of its value.
pub(crate) struct Fact {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The fields of a collection, in its order.
pub(crate) fn facts(collection: &str) -> Vec<Fact> {
    fn gather(path: &str, value: &Value, into: &mut Vec<Fact>) {
        let below = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    gather(&below(&at.to_string()), item, into);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    gather(&below(name), value, into);
                }
            }
            Value::String(text) => into.push(Fact {
                path: path.to_owned(),
                text: text.clone(),
            }),
            other => into.push(Fact {
                path: path.to_owned(),
                text: other.to_string(),
            }),
        }
    }
    let mut all = Vec::new();
    for record in catalogue()[collection].as_array().expect("a list") {
        gather("", record, &mut all);
    }
    all
}

fn piece(dice: &mut Dice, found: &[&Fact]) -> String {
    let (name, value) = match dice.below(24) {
        0..=2 => (field(dice), value(dice, found)),
        3..=5 => known(dice, found, &[""]),
        6..=7 => (
            field(dice) + dice.pick(&["_ne", "_ne", "_necklace", "_gte_ne"]),
            value(dice, found),
        ),
        8 => known(dice, found, &["_ne", "_gte", "_lte"]),
        9..=10 => (
            field(dice) + dice.pick(&["_gte", "_lte", "_gte", "_lte", "_lte_gte"]),
            value(dice, found),
        ),
        11..=12 => (
            field(dice) + dice.pick(&["_like", "_like", "_like", "_like_x"]),
            pattern(dice),
        ),
        13 => ("q".into(), value(dice, found)),
        14..=15 => ("_sort".into(), sort(dice)),
        16 => (
            "_order".into(),
            dice.pick(&["DESC", "DESC", "ASC", "desc", "", "DESC "])
                .into(),
        ),
        17..=19 => (slice_name(dice).into(), dice.pick(&SLICES).into()),
        20 => ("fields".into(), fields(dice)),
        21 => ("limit".into(), dice.pick(&LIMITS).into()),
        22 => (
            dice.pick(&["callback", "callback", "_", "v", "_embed", "_expand"])
                .into(),
            dice.pick(&[
                "fn", "a.b[0]", "alert(1)", "$_", "", "<", "people", "species", "é",
            ])
            .into(),
        ),
        _ => return nonsense(dice),
    };
    let name = match dice.below(30) {
        0 => name + "[]",
        1 => {
            name + dice.pick(&[
                "[0]",
                "[1]",
                "[a]",
                "[width]",
                "[]",
                "[][]",
                "[toString]",
                "[1000]",
                "[a][b]",
            ])
        }
        _ => name,
    };
    let mut out = encoded(dice, &name);
    if value.is_empty() && dice.rarely(3) {
        return out;
    }
    out.push('=');
    out + &encoded(dice, &value)
}

fn field(dice: &mut Dice) -> String {
    let name = if dice.rarely(25) {
        dice.pick(&INHERITED)
    } else {
        dice.pick(&FIELDS)
    };
    name.into()
}

/// A field with a value that some record has in it.
fn known(dice: &mut Dice, found: &[&Fact], suffixes: &[&str]) -> (String, String) {
    let fact = dice.pick(found);
    (fact.path.clone() + dice.pick(suffixes), fact.text.clone())
}

fn value(dice: &mut Dice, found: &[&Fact]) -> String {
    match dice.below(5) {
        0..=1 => dice.pick(&VALUES).into(),
        2 => {
            // A part of a text, because people search for parts.
            let text: Vec<char> = dice.pick(found).text.chars().collect();
            let start = dice.below(text.len() + 1);
            let length = dice.below(8);
            text[start..].iter().take(length).collect()
        }
        _ => dice.pick(found).text.clone(),
    }
}

fn encoded_value(dice: &mut Dice, found: &[&Fact]) -> String {
    let value = value(dice, found);
    encoded(dice, &value)
}

fn pattern(dice: &mut Dice) -> String {
    let mut all: String = dice.pick(&PATTERNS).into();
    while dice.rarely(3) {
        all += dice.pick(&PATTERNS);
    }
    all
}

fn sort(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => dice
            .pick(&[
                "tags[0]",
                "crew[0].name",
                "size[\"width\"]",
                "[",
                "size.",
                ".",
                ".title",
            ])
            .into(),
        _ => field(dice),
    }
}

fn slice_name(dice: &mut Dice) -> &'static str {
    dice.pick(&["_page", "_page", "_limit", "_limit", "_start", "_end"])
}

fn fields(dice: &mut Dice) -> String {
    let names: Vec<_> = (0..=dice.below(3)).map(|_| field(dice)).collect();
    names.join(dice.pick(&[",", ",", ", "]))
}

fn nonsense(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => {
            let bytes: Vec<_> = (0..dice.below(12)).map(|_| dice.below(256)).collect();
            bytes.iter().fold(String::new(), |mut out, byte| {
                let _ = write!(out, "%{byte:02x}");
                out
            })
        }
        _ => dice.pick(&NONSENSE).into(),
    }
}

/// Percent-encodes a text, sometimes more than necessary and sometimes incorrectly.
fn encoded(dice: &mut Dice, text: &str) -> String {
    let (eager, plus, raw) = (dice.rarely(12), dice.rarely(2), dice.rarely(20));
    let mut out = String::new();
    for letter in text.chars() {
        if raw && !letter.is_ascii() && letter.is_alphabetic() {
            out.push(letter);
            continue;
        }
        for byte in letter.to_string().bytes() {
            let plain =
                byte.is_ascii_alphanumeric() || b"-._~,()*!:@/?$'[]{}|^\\\"<>`".contains(&byte);
            match byte {
                b' ' if plus => out.push('+'),
                _ if plain && !eager => out.push(char::from(byte)),
                _ => {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
    if dice.rarely(60) {
        out += dice.pick(&["%", "%4", "%zz", "%E3%81", "%C0%80"]);
    }
    out
}
