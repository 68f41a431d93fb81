//! Translates the syntax of JavaScript's patterns for the `regex` crate.
//!
//! Parses as JavaScript does without the `u` flag, old leniencies included (`{` and `]` may stand
//! for themselves, `\1` without a group is a control character). The result uses the alphabet of
//! [`units`]. Refuses what cannot run in linear time: look-around and back-references.

mod escape;

use std::collections::HashSet;

use self::escape::Escape;
use super::TOO_LARGE;
use crate::query::units::{self, Units};

/// The same as `\b` in this alphabet, but fast among characters beyond ASCII. `\B` has no such
/// form.
const ASCII_BOUNDARY: &str = "(?-u:\\b)";

/// Deepest nesting of groups.
const DEEPEST: usize = 128;

type Parsed<T = ()> = Result<T, String>;

fn broken<T>(what: &str) -> Parsed<T> {
    Err(format!(
        "is not a regular expression: {what}; escape special characters with `\\`"
    ))
}

fn unsupported<T>(what: &str) -> Parsed<T> {
    Err(format!(
        "uses {what}, which is not supported; write the pattern without it"
    ))
}

/// The pattern for the `regex` crate, with a limit on its bytes. The error is the second half of a
/// sentence.
pub(super) fn translate(source: &str, most: usize) -> Parsed<String> {
    Parser::new(source, most).translate()
}

struct Parser {
    units: Vec<u16>,
    at: usize,
    /// The number of capturing groups in the whole pattern, to distinguish `\1` from `\x01`.
    groups: usize,
    named: bool,
    names: HashSet<Vec<u16>>,
    depth: usize,
    out: String,
    /// The highest length of `out`.
    most: usize,
}

impl Parser {
    fn new(source: &str, most: usize) -> Self {
        let units: Vec<u16> = source.encode_utf16().collect();
        let (groups, named) = count_groups(&units);
        Self {
            units,
            at: 0,
            groups,
            named,
            names: HashSet::new(),
            depth: 0,
            out: String::new(),
            most,
        }
    }

    fn translate(mut self) -> Parsed<String> {
        self.alternatives()?;
        if self.at < self.units.len() {
            return broken("a `)` has no `(`");
        }
        Ok(self.out)
    }

    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    /// The ASCII character that stands `ahead` units from here. Any other character becomes the
    /// replacement character.
    fn peek_at(&self, ahead: usize) -> Option<char> {
        let unit = *self.units.get(self.at + ahead)?;
        Some(u8::try_from(unit).map_or(char::REPLACEMENT_CHARACTER, char::from))
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn next_unit(&mut self) -> Option<u16> {
        let unit = self.units.get(self.at).copied();
        self.at += 1;
        unit
    }

    /// Alternatives up to the closing bracket or the end.
    fn alternatives(&mut self) -> Parsed {
        while let Some(next) = self.peek() {
            match next {
                ')' => return Ok(()),
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                }
                '^' => self.assertion(1, "\\A"),
                '$' => self.assertion(1, "\\z"),
                '\\' if self.peek_at(1) == Some('b') => self.assertion(2, ASCII_BOUNDARY),
                '\\' if self.peek_at(1) == Some('B') => self.assertion(2, "\\B"),
                _ => {
                    let start = self.out.len();
                    self.atom(next)?;
                    self.quantifier(start)?;
                    if self.out.len() > self.most {
                        return Err(TOO_LARGE.to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    /// Assertions take no quantifier: the parser reads it as a new atom and fails.
    fn assertion(&mut self, length: usize, translated: &str) {
        self.at += length;
        self.out.push_str(translated);
    }

    fn atom(&mut self, first: char) -> Parsed {
        match first {
            '(' => self.group(),
            '[' => self.class(),
            '.' => {
                self.at += 1;
                self.out.push_str(&Units::line_ends().class(true));
                Ok(())
            }
            '*' | '+' | '?' => broken("nothing stands before a repetition"),
            '{' if self.braces().is_some() => broken("nothing stands before a repetition"),
            '\\' => {
                self.at += 1;
                let translated = match self.escape(false)? {
                    Escape::Unit(unit) => units::literal(unit),
                    Escape::Set(set) => set.class(false),
                };
                self.out.push_str(&translated);
                Ok(())
            }
            _ => {
                let unit = self.next_unit().unwrap_or_default();
                self.out.push_str(&units::literal(unit));
                Ok(())
            }
        }
    }

    fn group(&mut self) -> Parsed {
        self.at += 1;
        if self.eat('?') {
            match (self.peek(), self.peek_at(1)) {
                (Some(':'), _) => self.at += 1,
                (Some('=' | '!'), _) => return unsupported("look-ahead"),
                (Some('<'), Some('=' | '!')) => return unsupported("look-behind"),
                (Some('<'), _) => self.group_name()?,
                _ => return broken("`(?` starts no group"),
            }
        }
        self.out.push_str("(?:");
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(TOO_LARGE.to_owned());
        }
        self.alternatives()?;
        self.depth -= 1;
        if !self.eat(')') {
            return broken("a `(` is not closed");
        }
        self.out.push(')');
        Ok(())
    }

    /// Checks the name and drops it: without back-references nothing uses it.
    fn group_name(&mut self) -> Parsed {
        self.at += 1;
        let start = self.at;
        while self.peek().is_some_and(|next| next != '>') {
            self.at += 1;
        }
        let name = self.units[start..self.at].to_vec();
        let text = String::from_utf16_lossy(&name);
        let proper = text.chars().enumerate().all(|(at, character)| {
            matches!(character, '$' | '_')
                || character.is_alphabetic()
                || (at > 0 && character.is_numeric())
        });
        if !self.eat('>') || name.is_empty() || !proper || !self.names.insert(name) {
            return broken("a group's name is missing, improper or taken");
        }
        Ok(())
    }

    /// Repeats what was written since `start`. A lazy quantifier matches the same texts.
    fn quantifier(&mut self, start: usize) -> Parsed {
        let repeated = match self.peek() {
            Some(sign @ ('*' | '+' | '?')) => {
                self.at += 1;
                sign.to_string()
            }
            Some('{') => match self.braces() {
                Some((length, least, most)) => {
                    self.at += length;
                    let most = match most {
                        None => String::new(),
                        Some(most) if most < least => {
                            return broken("a repetition's bounds are out of order");
                        }
                        Some(most) => most.to_string(),
                    };
                    format!("{{{least},{most}}}")
                }
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        self.eat('?');
        self.out.insert_str(start, "(?:");
        self.out.push(')');
        self.out.push_str(&repeated);
        Ok(())
    }

    /// The length and bounds of `{2}`, `{2,}` or `{2,3}` at this place. Other braces are text.
    fn braces(&self) -> Option<(usize, u64, Option<u64>)> {
        let rest = &self.units[self.at + 1..];
        let is_bound =
            |unit: u16| u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_digit() || byte == b',');
        let end = rest.iter().position(|unit| !is_bound(*unit))?;
        if rest[end] != u16::from(b'}') {
            return None;
        }
        let inside = String::from_utf16(&rest[..end]).ok()?;
        let bound = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // A number that does not fit is too large in any case.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let (least, most) = match inside.split_once(',') {
            None => (bound(&inside)?, Some(bound(&inside)?)),
            Some((least, "")) => (bound(least)?, None),
            Some((least, most)) => (bound(least)?, Some(bound(most)?)),
        };
        Some((end + 2, least, most))
    }

    fn class(&mut self) -> Parsed {
        self.at += 1;
        let negated = self.eat('^');
        let mut set = Units::default();
        while !self.eat(']') {
            let first = self.class_atom()?;
            let is_range =
                self.peek() == Some('-') && self.peek_at(1).is_some_and(|next| next != ']');
            if !is_range {
                add(&mut set, &first);
                continue;
            }
            self.at += 1;
            let last = self.class_atom()?;
            match (&first, &last) {
                (Escape::Unit(first), Escape::Unit(last)) if first > last => {
                    return broken("a range in `[]` is out of order");
                }
                (Escape::Unit(first), Escape::Unit(last)) => set.add(*first, *last),
                _ => {
                    add(&mut set, &first);
                    add(&mut set, &Escape::Unit(u16::from(b'-')));
                    add(&mut set, &last);
                }
            }
        }
        self.out.push_str(&set.class(negated));
        Ok(())
    }

    fn class_atom(&mut self) -> Parsed<Escape> {
        match self.next_unit() {
            None => broken("a `[` is not closed"),
            Some(unit) if unit == u16::from(b'\\') => self.escape(true),
            Some(unit) => Ok(Escape::Unit(unit)),
        }
    }
}

fn add(set: &mut Units, escape: &Escape) {
    match escape {
        Escape::Unit(unit) => set.add(*unit, *unit),
        Escape::Set(members) => set.extend(members),
    }
}

/// The number of capturing groups, and whether any has a name.
fn count_groups(units: &[u16]) -> (usize, bool) {
    let is = |at: usize, expected: &[u8]| {
        units
            .get(at)
            .is_some_and(|unit| expected.iter().any(|byte| u16::from(*byte) == *unit))
    };
    let (mut groups, mut named, mut in_class, mut at) = (0, false, false, 0);
    while at < units.len() {
        if is(at, b"\\") {
            at += 1;
        } else if is(at, b"[") {
            in_class = true;
        } else if is(at, b"]") {
            in_class = false;
        } else if is(at, b"(") && !in_class {
            let has_name = is(at + 1, b"?") && is(at + 2, b"<") && !is(at + 3, b"=!");
            groups += usize::from(has_name || !is(at + 1, b"?"));
            named |= has_name;
        }
        at += 1;
    }
    (groups, named)
}
