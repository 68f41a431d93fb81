//! Escapes: a backslash and the characters after it.

use super::{Parsed, Parser, broken, unsupported};
use crate::query::units::Units;

/// The meaning of one escape, inside or outside of brackets.
pub(super) enum Escape {
    Unit(u16),
    Set(Units),
}

impl Parser {
    /// Reads what follows a backslash.
    pub(super) fn escape(&mut self, in_class: bool) -> Parsed<Escape> {
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
