//! How JavaScript reads text and numbers; the upstream's answers depend on it.
//!
//! Owns conversions and comparisons. Knows neither parameters nor whole records.

use std::{borrow::Cow, cmp::Ordering, fmt::Write};

use serde_json::{Map, Value};

/// A value inside a record, as JavaScript would see it.
#[derive(Debug, Clone)]
pub(super) enum Js<'a> {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    List(&'a [Value]),
    Object(&'a Map<String, Value>),
}

/// What a value becomes when JavaScript compares it with `<` or sorts it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Primitive<'a> {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'a> From<&'a Value> for Js<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items),
            Value::Object(fields) => Self::Object(fields),
        }
    }
}

impl<'a> Js<'a> {
    /// The value of an own property, `Undefined` where there is none.
    ///
    /// Never returns inherited properties (`constructor`, `toString`, methods of strings): they
    /// belong to the language and not to the data.
    pub(super) fn property(&self, name: &str) -> Self {
        let found = match self {
            Self::Object(fields) => fields.get(name).map(Js::from),
            Self::List(items) if name == "length" => Some(count(items.len())),
            Self::List(items) => index(name).and_then(|at| items.get(at)).map(Js::from),
            Self::Text(text) if name == "length" => Some(count(text.encode_utf16().count())),
            Self::Text(text) => index(name).and_then(|at| unit(text, at)),
            _ => None,
        };
        found.unwrap_or(Self::Undefined)
    }

    pub(super) fn into_primitive(self) -> Primitive<'a> {
        match self {
            Self::Undefined => Primitive::Undefined,
            Self::Null => Primitive::Null,
            Self::Bool(yes) => Primitive::Bool(yes),
            Self::Number(number) => Primitive::Number(number),
            Self::Text(text) => Primitive::Text(text),
            Self::List(items) => Primitive::Text(Cow::Owned(joined(items))),
            Self::Object(_) => Primitive::Text(Cow::Borrowed(OBJECT)),
        }
    }

    /// The result of `String(value)`.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self.into_primitive() {
            Primitive::Undefined => Cow::Borrowed("undefined"),
            Primitive::Null => Cow::Borrowed("null"),
            Primitive::Bool(true) => Cow::Borrowed("true"),
            Primitive::Bool(false) => Cow::Borrowed("false"),
            Primitive::Number(number) => Cow::Owned(number_text(number)),
            Primitive::Text(text) => text,
        }
    }
}

impl Primitive<'_> {
    fn number(&self) -> f64 {
        match self {
            Self::Undefined => f64::NAN,
            Self::Null | Self::Bool(false) => 0.0,
            Self::Bool(true) => 1.0,
            Self::Number(number) => *number,
            Self::Text(text) => number(text),
        }
    }

    /// The order by JavaScript's `<` and `>`; `None` if neither of them holds, nor equality.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) => Some(compare_text(one, two)),
            _ => self.number().partial_cmp(&other.number()),
        }
    }
}

/// The text of any object in JavaScript.
pub(super) const OBJECT: &str = "[object Object]";

/// `items.join(",")`: null becomes empty text, lists inside lists are joined too.
fn joined(items: &[Value]) -> String {
    let texts: Vec<_> = items
        .iter()
        .map(|item| match item {
            Value::Null => Cow::Borrowed(""),
            other => Js::from(other).into_text(),
        })
        .collect();
    texts.join(",")
}

/// Compares strings by UTF-16 unit, so an emoji comes before a full-width letter.
fn compare_text(one: &str, two: &str) -> Ordering {
    one.encode_utf16().cmp(two.encode_utf16())
}

#[expect(clippy::cast_precision_loss, reason = "no list has 2^53 items")]
fn count<'a>(length: usize) -> Js<'a> {
    Js::Number(length as f64)
}

/// A list's index as a property name: `0`, `12`, never `01`.
pub(super) fn index(name: &str) -> Option<usize> {
    let canonical = name.bytes().all(|byte| byte.is_ascii_digit())
        && (name.len() == 1 || !name.starts_with('0'))
        && name.len() <= 15;
    if canonical { name.parse().ok() } else { None }
}

/// The character that the UTF-16 unit at this place belongs to. JavaScript would return half an
/// emoji; this returns the whole one.
fn unit<'a>(text: &str, at: usize) -> Option<Js<'a>> {
    let mut passed = 0;
    let found = text.chars().find(|character| {
        passed += character.len_utf16();
        passed > at
    })?;
    Some(Js::Text(Cow::Owned(found.to_string())))
}

/// Whether JavaScript counts the character as white space; Rust's list differs by two characters.
pub(super) fn is_space(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

/// `Number(text)`; NaN if the text is not a number.
pub(super) fn number(text: &str) -> f64 {
    let text = text.trim_matches(is_space);
    if text.is_empty() {
        return 0.0;
    }
    let radix = text.get(..2).and_then(|prefix| match prefix {
        "0x" | "0X" => Some(16),
        "0o" | "0O" => Some(8),
        "0b" | "0B" => Some(2),
        _ => None,
    });
    if let Some(radix) = radix {
        return whole(&text[2..], radix);
    }
    match text.strip_prefix(['+', '-']).unwrap_or(text) {
        "Infinity" if text.starts_with('-') => f64::NEG_INFINITY,
        "Infinity" => f64::INFINITY,
        rest if rest.starts_with(|first: char| first.is_ascii_digit() || first == '.')
            // Rust would also read `inf`; the only letter that a number may have is its exponent's.
            && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) =>
        {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

fn whole(digits: &str, radix: u32) -> f64 {
    if digits.is_empty() {
        return f64::NAN;
    }
    digits.chars().fold(0.0, |sum, character| {
        character
            .to_digit(radix)
            .map_or(f64::NAN, |digit| sum * f64::from(radix) + f64::from(digit))
    })
}

/// `parseInt(text, 10)`: the number in the leading digits; NaN if there are none.
pub(super) fn parse_int(text: &str) -> f64 {
    let text = text.trim_start_matches(is_space);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let size = unsigned[..end].parse().unwrap_or(f64::NAN);
    if text.starts_with('-') { -size } else { size }
}

/// `String(number)`: the shortest digits; with an exponent from 1e21 on, and below 1e-6.
pub(super) fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    if number.is_infinite() {
        return format!("{sign}Infinity");
    }
    let shortest = format!("{:e}", number.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<isize>().unwrap_or(0) + 1;
    format!("{sign}{}", placed(&digits, point))
}

/// The digits, with the decimal point after the first `point` digits.
fn placed(digits: &str, point: isize) -> String {
    let length = digits.len().cast_signed();
    let mut out = String::new();
    if (length..=21).contains(&point) {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', (point - length).unsigned_abs()));
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(point.unsigned_abs());
        let _ = write!(out, "{whole}.{fraction}");
    } else if (-5..=0).contains(&point) {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs()));
        out.push_str(digits);
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let _ = write!(out, "{first}{dot}{rest}e{:+}", point - 1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_a_number_the_way_scripts_do() {
        for (text, expected) in [
            ("", 0.0),
            (" 12\t", 12.0),
            ("\u{feff}7", 7.0),
            ("0x1F", 31.0),
            ("0b101", 5.0),
            ("5.", 5.0),
            (".5", 0.5),
            ("+5", 5.0),
            ("-1e3", -1000.0),
            ("1e999", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text).to_bits(), f64::to_bits(expected), "{text}");
        }
        for text in [
            "1,000", "abc", "inf", "nan", "infinity", ".", "e5", "0x", "-0x1", "1_0", "\u{85}1",
        ] {
            assert!(number(text).is_nan(), "{text}");
        }
    }

    #[test]
    fn leading_digits_are_enough_for_parse_int() {
        for (text, expected) in [
            ("12abc", 12.0),
            (" -3.9", -3.0),
            ("1e3", 1.0),
            ("0x10", 0.0),
        ] {
            assert!((parse_int(text) - expected).abs() < 1e-9, "{text}");
        }
        assert!(parse_int("abc").is_nan() && parse_int("").is_nan() && parse_int("-").is_nan());
    }

    #[test]
    fn numbers_are_written_the_way_scripts_do() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1000.0, "1000"),
            (0.1, "0.1"),
            (-12.5, "-12.5"),
            (1e21, "1e+21"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (0.000_001, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(number_text(value), expected);
        }
    }
}
