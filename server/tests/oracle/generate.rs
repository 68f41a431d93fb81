//! Questions from a seed: everything clients do, and much that no client should.

use std::fmt::Write;

use serde_json::Value;

use crate::answerer::catalogue;

/// A small generator of numbers (`SplitMix64`); equal seeds give equal numbers everywhere.
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

    /// Once in `times`.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const FIELDS: [&str; 44] = [
    "id",
    "title",
    "original_title",
    "year",
    "score",
    "rating",
    "length",
    "tags",
    "crew",
    "size",
    "released",
    "note",
    "people",
    "species",
    "url",
    "name",
    "age",
    "gender",
    "eye_color",
    "climate",
    "surface_water",
    "classification",
    "limit",
    "fields",
    "_page",
    "a_ne",
    "a_like_b",
    "tags.0",
    "tags.length",
    "tags.00",
    "crew.0.name",
    "crew.0.roles.1",
    "size.width",
    "size.inner.list.1.k",
    "title.0",
    "title.length",
    "a.b",
    "two words",
    "nope",
    "nope.deeper",
    "",
    "a..b",
    "constructor",
    "residents",
];

/// Names that the language knows, whatever the record.
const INHERITED: [&str; 6] = [
    "__proto__",
    "toString",
    "hasOwnProperty",
    "title.trim",
    "tags.concat",
    "size.valueOf",
];

const VALUES: [&str; 52] = [
    "",
    " ",
    "0",
    "-0",
    "1",
    "2",
    "3",
    "9",
    "10",
    "50",
    "95",
    "95.0",
    "095",
    "100",
    "1986",
    "1988",
    "1988.0",
    "1e3",
    "1000",
    "1,000",
    "1e21",
    "0x1F",
    ".5",
    "5.",
    "Infinity",
    "-Infinity",
    "NaN",
    "true",
    "false",
    "TRUE",
    "null",
    "undefined",
    "TBA",
    "late",
    "Over 50",
    "lantern street",
    "sea",
    "tea",
    "SEA",
    "😀",
    "é",
    "提灯通り",
    "straße",
    "ß",
    "İ",
    "<b>",
    "a.b*c",
    "100% + more",
    " padded ",
    "[object Object]",
    "a,b,c",
    "constructor",
];

const PATTERNS: [&str; 72] = [
    "",
    "a",
    "^a",
    "a$",
    "^$",
    ".",
    "^.$",
    "^..$",
    "^.{5}$",
    "lantern",
    "LANTERN",
    "street$",
    "[a-c]",
    "[^a-z]",
    "[z-a]",
    "[]",
    "[^]",
    "[\\d-x]",
    "[\\w-]",
    "\\d+",
    "\\D",
    "\\w+",
    "^\\W",
    "\\s",
    "\\S{3}",
    "\\bsea\\b",
    "\\Bea",
    "(a|b)c?",
    "(?:te|se)a",
    "(?<word>tea)",
    "(?<w>a)(?<w>b)",
    "(?=a)",
    "(?!a)",
    "(?<=a)b",
    "(?<!a)b",
    "(a)\\1",
    "\\1",
    "\\101",
    "\\8",
    "\\0",
    "\\k",
    "\\x41",
    "\\x4",
    "\\u0041",
    "\\u{3}",
    "\\cJ",
    "\\c",
    "\\/",
    "\\-",
    "\\p{L}",
    "a{2}",
    "a{,3}",
    "{",
    "}",
    "]",
    "{1}",
    "a{3,1}",
    "a**",
    "a+?",
    "+",
    "(",
    ")",
    "[",
    "\\",
    "^*",
    "\\b+",
    "(?i)a",
    "[É]",
    "ß",
    "[^😀]",
    "[\\u00c0-\\u017f]",
    "ｆ",
];

const SLICES: [&str; 27] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "10",
    "11",
    "13",
    "25",
    "100",
    "-1",
    "-3",
    "-5",
    "-100",
    "abc",
    "",
    "1.5",
    "2abc",
    " 2",
    "1e1",
    "0x2",
    "99999999999999999999",
    "-0",
    "+2",
    "null",
    "Infinity",
    "４",
];

const LIMITS: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "12",
    "13",
    "14",
    "250",
    "999",
    "",
    " ",
    "-1",
    "-0",
    "abc",
    "1.5",
    "99.5",
    "0x3",
    "0b11",
    "1e1",
    "1e999",
    " 2 ",
    "2px",
    "true",
    "\u{feff}2",
];

const NONSENSE: [&str; 20] = [
    "&",
    "&&",
    "=",
    "==",
    "=x",
    "?",
    "a[",
    "a]",
    "[]",
    "[]=x",
    "[0]=x",
    "%",
    "%zz=1",
    "title=%zz",
    "q=%ff",
    "q[",
    "__proto__[x]=1",
    "[__proto__]=1",
    "utf8=%E2%9C%93",
    "title[]]=x",
];

/// `count` questions, each a path with or without a query.
pub(crate) fn questions(seed: u64, count: usize) -> Vec<String> {
    let mut dice = Dice(seed);
    let found = texts();
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    (0..count).map(|_| question(&mut dice, &found)).collect()
}

fn question(dice: &mut Dice, found: &[&str]) -> String {
    let paths = [
        "/films",
        "/films",
        "/films",
        "/films",
        "/films",
        "/people",
        "/species",
        "/locations",
        "/locations",
        "/vehicles",
        "/films/f-kettle",
        "/species/s-fox",
        "/films/nobody",
        "/films/f-proto",
    ];
    let path = dice.pick(&paths);
    let pieces: Vec<_> = (0..dice.below(5)).map(|_| piece(dice, found)).collect();
    if pieces.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", pieces.join("&"))
}

/// All short texts and numbers of the catalogue.
fn texts() -> Vec<String> {
    fn gather(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
            Value::Object(fields) => fields.values().for_each(|value| gather(value, into)),
            Value::String(text) => into.push(text.clone()),
            other => into.push(other.to_string()),
        }
    }
    let mut all = Vec::new();
    catalogue()
        .values()
        .for_each(|value| gather(value, &mut all));
    all.sort_unstable();
    all.dedup();
    all
}

fn piece(dice: &mut Dice, found: &[&str]) -> String {
    let (name, value) = match dice.below(24) {
        0..=5 => (field(dice), value(dice, found)),
        6..=8 => (
            field(dice) + dice.pick(&["_ne", "_ne", "_necklace", "_gte_ne"]),
            value(dice, found),
        ),
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

fn value(dice: &mut Dice, found: &[&str]) -> String {
    match dice.below(5) {
        0..=1 => dice.pick(&VALUES).into(),
        2 => {
            // A part of a text, as people search for parts.
            let text: Vec<char> = dice.pick(found).chars().collect();
            let start = dice.below(text.len() + 1);
            let length = dice.below(8);
            text[start..].iter().take(length).collect()
        }
        _ => dice.pick(found).into(),
    }
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

/// Percent-encoded, sometimes more than needed and sometimes badly.
fn encoded(dice: &mut Dice, text: &str) -> String {
    let (eager, plus) = (dice.rarely(12), dice.rarely(2));
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~,()*!:@/?$'[]{}|^\\".contains(&byte);
        match byte {
            b' ' if plus => out.push('+'),
            _ if plain && !eager => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    if dice.rarely(60) {
        out += dice.pick(&["%", "%4", "%zz", "%E3%81", "%C0%80"]);
    }
    out
}
