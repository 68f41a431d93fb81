//! Text as JavaScript's regular expressions see it: UTF-16 units, without regard to case.
//!
//! Owns the alphabet into which patterns and texts are both converted before matching, and sets
//! of its characters. Knows no pattern syntax.
//!
//! Each unit becomes one character: ASCII stays, all other units move to the private planes, where
//! no character is part of a word. So `.` matches one of an emoji's two units, `\b` knows only
//! ASCII words, and a letter matches exactly the letters that it matches in JavaScript.

use std::fmt::Write;

/// The number added to units beyond ASCII. No sum is a surrogate or above the last character.
const SHIFT: u32 = 0x10_0000;

/// These ranges contain all units that differ from their capital.
const CASED: [(u16, u16); 13] = [
    (0x0041, 0x0587),
    (0x10d0, 0x10ff),
    (0x13f8, 0x13fd),
    (0x1c80, 0x1c8f),
    (0x1d79, 0x1fff),
    (0x214e, 0x2188),
    (0x24d0, 0x24e9),
    (0x2c30, 0x2d2d),
    (0xa641, 0xa69b),
    (0xa723, 0xa7ff),
    (0xab53, 0xab53),
    (0xab70, 0xabbf),
    (0xff41, 0xff5a),
];

/// The text in the alphabet, with all letters as capitals.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.encode_utf16()
        .map(|unit| letter(capital(unit)))
        .collect()
}

/// A pattern that matches a single unit without regard to case.
pub(super) fn literal(unit: u16) -> String {
    format!("\\x{{{:X}}}", u32::from(letter(capital(unit))))
}

fn letter(unit: u16) -> char {
    let unit = u32::from(unit);
    let code = if unit < 0x80 { unit } else { unit + SHIFT };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The unit's capital, if that is a single unit. A unit beyond ASCII never becomes ASCII.
fn capital(unit: u16) -> u16 {
    let Some(small) = char::from_u32(u32::from(unit)) else {
        return unit;
    };
    let mut capitals = small.to_uppercase();
    match (capitals.next().map(u32::from), capitals.next()) {
        (Some(code), None) if unit < 0x80 || code >= 0x80 => u16::try_from(code).unwrap_or(unit),
        _ => unit,
    }
}

/// A set of units, as ranges that include both ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Units(Vec<(u16, u16)>);

impl Units {
    pub(super) fn add(&mut self, first: u16, last: u16) {
        self.0.push((first, last));
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(super) fn digits() -> Self {
        Self(vec![(0x30, 0x39)])
    }

    pub(super) fn words() -> Self {
        Self(vec![(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)])
    }

    pub(super) fn spaces() -> Self {
        Self(vec![
            (0x09, 0x0d),
            (0x20, 0x20),
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x2028, 0x2029),
            (0x202f, 0x202f),
            (0x205f, 0x205f),
            (0x3000, 0x3000),
            (0xfeff, 0xfeff),
        ])
    }

    pub(super) fn line_ends() -> Self {
        Self(vec![(0x0a, 0x0a), (0x0d, 0x0d), (0x2028, 0x2029)])
    }

    /// Everything that is not in the set.
    pub(super) fn complement(&self) -> Self {
        let mut next = 0;
        let mut outside = Vec::new();
        for (first, last) in self.sorted() {
            if u32::from(first) > next {
                outside.push((narrow(next), first - 1));
            }
            next = u32::from(last) + 1;
        }
        if next <= 0xffff {
            outside.push((narrow(next), 0xffff));
        }
        Self(outside)
    }

    /// The set as a pattern for one unit; `negated` matches the units outside.
    pub(super) fn class(&self, negated: bool) -> String {
        let ranges = self.capitals().sorted();
        match (ranges.is_empty(), negated) {
            (true, false) => return "[a&&b]".to_owned(),
            (true, true) => return "(?s:.)".to_owned(),
            _ => {}
        }
        let mut out = String::from(if negated { "[^" } else { "[" });
        for (first, last) in ranges {
            // ASCII does not move, so a range across its end becomes two ranges.
            for (first, last) in [(first, last.min(0x7f)), (first.max(0x80), last)] {
                if first <= last {
                    let (first, last) = (u32::from(letter(first)), u32::from(letter(last)));
                    let _ = write!(out, "\\x{{{first:X}}}-\\x{{{last:X}}}");
                }
            }
        }
        out.push(']');
        out
    }

    /// The capitals of all members.
    fn capitals(&self) -> Self {
        let mut all = self.clone();
        for (first, last) in self.sorted() {
            for (low, high) in CASED {
                for unit in first.max(low)..=last.min(high) {
                    all.add(capital(unit), capital(unit));
                }
            }
        }
        all
    }

    /// The ranges in order; ranges that touch are merged.
    fn sorted(&self) -> Vec<(u16, u16)> {
        let mut ranges = self.0.clone();
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if u32::from(first) <= u32::from(*end) + 1 => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        merged
    }
}

fn narrow(unit: u32) -> u16 {
    u16::try_from(unit).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_letter_with_a_capital_lies_outside_the_ranges() {
        for unit in 0..=u16::MAX {
            if capital(unit) != unit {
                let inside = CASED
                    .iter()
                    .any(|(low, high)| (low..=high).contains(&&unit));
                assert!(inside, "{unit:#x}");
            }
        }
    }

    #[test]
    fn letters_fold_as_scripts_fold_them() {
        assert_eq!(folded("abc"), "ABC");
        assert_eq!(folded("é"), folded("É"));
        assert_eq!(folded("ς"), folded("σ"));
        assert_ne!(folded("ß"), folded("ẞ"));
        assert_ne!(folded("ſ"), folded("s"));
        assert_ne!(folded("\u{212a}"), folded("k"));
        assert_eq!(folded("😀").chars().count(), 2);
    }

    #[test]
    fn complements_cover_the_rest() {
        assert_eq!(Units::default().complement().sorted(), [(0, 0xffff)]);
        assert_eq!(Units::default().complement().complement().sorted(), []);
        assert_eq!(
            Units::digits().complement().sorted(),
            [(0, 0x2f), (0x3a, 0xffff)]
        );
    }
}
