//! `_like`: JavaScript's regular expressions on an engine that takes linear time.
//!
//! Owns the translation. The pattern is parsed as a script would parse it, old leniencies
//! included (`{` and `]` may stand for themselves, `\1` without a group is a control character),
//! and written anew for the `regex` crate over the alphabet of [`units`].
//! What cannot run in linear time, look-around and back-references, is refused.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use super::units::{self, Units};

/// Longest pattern, in bytes.
pub(super) const LONGEST: usize = 256;

/// Largest compiled pattern, in bytes: a few thousand states, built in about a millisecond.
const COMPILED: usize = 128 * 1024;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles; the error is the second half of a sentence about the parameter.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        if source.len() > LONGEST {
            return Err(format!("is a pattern of more than {LONGEST} bytes"));
        }
        let translated = Parser::new(source).translate()?;
        let compiled = RegexBuilder::new(&translated)
            .size_limit(COMPILED)
            .dfa_size_limit(COMPILED)
            .build();
        compiled
            .map(Self)
            .map_err(|_| "is too large a pattern; repeat less".to_owned())
    }

    /// Whether it matches anywhere in the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(&units::folded(text))
    }
}

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

struct Parser {
    units: Vec<u16>,
    at: usize,
    /// Capturing groups of the whole pattern, for telling `\1` from `\x01`.
    groups: usize,
    named: bool,
    names: HashSet<Vec<u16>>,
    out: String,
}

/// What one escape inside or outside of brackets stands for.
enum Escape {
    Unit(u16),
    Set(Units),
}

impl Parser {
    fn new(source: &str) -> Self {
        let units: Vec<u16> = source.encode_utf16().collect();
        let (groups, named) = count_groups(&units);
        Self {
            units,
            at: 0,
            groups,
            named,
            names: HashSet::new(),
            out: String::new(),
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

    /// The ASCII character `ahead` of here; anything else reads as the replacement character.
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
                '\\' if self.peek_at(1) == Some('b') => self.assertion(2, "\\b"),
                '\\' if self.peek_at(1) == Some('B') => self.assertion(2, "\\B"),
                _ => {
                    let start = self.out.len();
                    self.atom(next)?;
                    self.quantifier(start)?;
                }
            }
        }
        Ok(())
    }

    /// Assertions take no quantifier: what follows starts anew and fails there.
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
        self.alternatives()?;
        if !self.eat(')') {
            return broken("a `(` is not closed");
        }
        self.out.push(')');
        Ok(())
    }

    /// The name is checked and dropped: without back-references nobody asks for it.
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

    /// Repeats what was written since `start`. Being lazy changes no yes into a no.
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

    /// `{2}`, `{2,}`, `{2,3}` at this place: its length and bounds. Other braces are text.
    fn braces(&self) -> Option<(usize, u64, Option<u64>)> {
        let rest = &self.units[self.at + 1..];
        let end = rest.iter().position(|unit| *unit == u16::from(b'}'))?;
        let inside = String::from_utf16(&rest[..end]).ok()?;
        let bound = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // Beyond counting is too large in any case.
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

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) -> Parsed<Escape> {
        let Some(next) = self.peek() else {
            return broken("it ends in a lone `\\`");
        };
        if next.is_ascii_digit() {
            return self.digits(in_class);
        }
        let unit = self.next_unit().unwrap_or_default();
        Ok(match next {
            'd' => Escape::Set(Units::digits()),
            'D' => Escape::Set(Units::digits().complement()),
            'w' => Escape::Set(Units::words()),
            'W' => Escape::Set(Units::words().complement()),
            's' => Escape::Set(Units::spaces()),
            'S' => Escape::Set(Units::spaces().complement()),
            'b' if in_class => Escape::Unit(0x08),
            'f' => Escape::Unit(0x0c),
            'n' => Escape::Unit(0x0a),
            'r' => Escape::Unit(0x0d),
            't' => Escape::Unit(0x09),
            'v' => Escape::Unit(0x0b),
            'c' => Escape::Unit(self.control(in_class)),
            'x' => Escape::Unit(self.hexadecimal(2).unwrap_or(unit)),
            'u' => Escape::Unit(self.hexadecimal(4).unwrap_or(unit)),
            'k' if self.named => return unsupported("a back-reference"),
            _ => Escape::Unit(unit),
        })
    }

    /// A back-reference, or a character by its octal number, or the digit itself.
    fn digits(&mut self, in_class: bool) -> Parsed<Escape> {
        let digit = |parser: &Self, radix| parser.peek().and_then(|next| next.to_digit(radix));
        if !in_class && self.peek() != Some('0') {
            let all: String = (0..)
                .map_while(|ahead| self.peek_at(ahead).filter(char::is_ascii_digit))
                .collect();
            if all.parse().unwrap_or(usize::MAX) <= self.groups {
                return unsupported("a back-reference");
            }
        }
        let mut value = 0;
        for at in 0..3 {
            match digit(self, 8) {
                Some(next) if at == 0 || value < 32 => value = value * 8 + next,
                _ if at == 0 => return Ok(Escape::Unit(self.next_unit().unwrap_or_default())),
                _ => break,
            }
            self.at += 1;
        }
        Ok(Escape::Unit(u16::try_from(value).unwrap_or_default()))
    }

    /// `\cA` is a control character; any other `\c` is a backslash and a `c`.
    fn control(&mut self, in_class: bool) -> u16 {
        match self.peek() {
            Some(next)
                if next.is_ascii_alphabetic()
                    || (in_class && (next.is_ascii_digit() || next == '_')) =>
            {
                self.next_unit().unwrap_or_default() & 0x1f
            }
            _ => {
                self.at -= 1;
                u16::from(b'\\')
            }
        }
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u16> {
        let value = (0..digits).try_fold(0, |value, ahead| {
            Some(value * 16 + self.peek_at(ahead)?.to_digit(16)?)
        })?;
        self.at += digits;
        u16::try_from(value).ok()
    }
}

fn add(set: &mut Units, escape: &Escape) {
    match escape {
        Escape::Unit(unit) => set.add(*unit, *unit),
        Escape::Set(members) => set.extend(members),
    }
}

/// How many groups capture, and whether any has a name.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn like(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn means_what_a_script_means() {
        for (pattern, text) in [
            ("castle", "Howl's Moving Castle"),
            ("", ""),
            ("^.$", "é"),
            ("^..$", "😀"),
            ("a{,5}", "a{,5}"),
            ("a{", "a{"),
            ("}]", "}]"),
            ("^a{2}$", "aa"),
            ("\\/", "/"),
            ("[^]", "\n"),
            ("\\1", "\u{1}"),
            ("\\8", "8"),
            ("\\u0041\\x42", "ab"),
            ("^\\u{3}$", "uuu"),
            ("[\\w-z]", "-"),
            ("[😀]", "😀"),
            ("(?<word>x)", "x"),
            ("\\cj", "\n"),
            ("\\c!", "\\c!"),
            ("\\p{2}", "pp"),
            ("É", "é"),
            ("\\Bb", "ab"),
        ] {
            assert!(like(pattern, text), "{pattern} on {text}");
        }
        for (pattern, text) in [
            ("[]", "x"),
            ("^.$", "\u{2028}"),
            ("a$", "a\n"),
            ("\\d", "٣"),
            ("\\w", "é"),
            ("k", "\u{212a}"),
            ("\\B", "aéb"),
            ("[^A]", "a"),
        ] {
            assert!(!like(pattern, text), "{pattern} on {text}");
        }
    }

    #[test]
    fn refuses_what_a_script_refuses_and_what_takes_longer_than_linear() {
        for pattern in [
            "(",
            ")",
            "[",
            "\\",
            "*",
            "a**",
            "a++",
            "^*",
            "\\b+",
            "{1}",
            "a{2,1}",
            "[b-a]",
            "(?",
            "(?i)a",
            "(?<1>a)",
            "(?<a>x)(?<a>y)",
            "(?=a)",
            "(?<!a)",
            "(a)\\1",
            "\\k<a>(?<a>x)",
            "a{100000}",
            "((a{99}){99}){99}",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::parse(&"a".repeat(257)).is_err());
        assert!(Pattern::parse(&"(".repeat(128)).is_err());
        assert!(like(
            &format!("{}a{}", "(".repeat(120), ")".repeat(120)),
            "A"
        ));
    }
}
