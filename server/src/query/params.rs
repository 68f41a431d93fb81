//! Splits the query string into parameters, nested and repeated ones too, as the upstream's parser
//! does.
//!
//! Owns the syntax (`a=1&a=2`, `a[b]=c`, `a[]=`, `+`, `%20`). Knows no parameter's meaning.

use super::{
    js,
    tree::{LIST_LIMIT, List, Param, Tree},
};

/// The parser reads at most this many pieces between `&`, like the upstream's parser.
const PIECES: usize = 1000;

/// Brackets that nest deeper than this are part of the last name.
const DEPTH: usize = 5;

/// The parameters of `raw`, which is the query string without its `?`.
pub(super) fn parse(raw: &str) -> Tree {
    let mut all = Tree::default();
    for (key, value) in gathered(raw) {
        if key.is_empty() {
            continue;
        }
        all.merge(nested(&segments(&key), value));
    }
    all.compact();
    all
}

/// The values of one parameter. Brackets have no meaning here: `fields[]` is another name.
pub(super) fn flat(raw: &str, name: &str) -> Vec<String> {
    raw.split('&')
        .take(PIECES)
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .filter(|(key, _)| decode_leniently(key) == name)
        .map(|(_, value)| decode_leniently(value))
        .collect()
}

/// Decoded keys in order of appearance; the values of a repeated key form a list.
fn gathered(raw: &str) -> Vec<(String, Param)> {
    let raw = raw
        .replace("%5B", "[")
        .replace("%5b", "[")
        .replace("%5D", "]")
        .replace("%5d", "]");
    let mut all: Vec<(String, Param)> = Vec::new();
    for piece in raw.split('&').take(PIECES) {
        // `a[b=c]=d` is split at the `=` after the bracket.
        let split = match piece.find("]=") {
            Some(bracket) => Some(bracket + 1),
            None => piece.find('='),
        };
        let (key, value) = match split {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, ""),
        };
        let (key, value) = (decode(key), Param::Text(decode(value)));
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, Param::List(list))) => list.items.push(Some(value)),
            Some((_, first)) => {
                let both = vec![Some(std::mem::take(first)), Some(value)];
                *first = Param::List(List::from(both));
            }
            None => all.push((key, value)),
        }
    }
    all
}

/// Splits `a[b][c]` into `a`, `[b]`, `[c]`. An unclosed bracket, and brackets that nest too deep,
/// stay in one piece.
fn segments(key: &str) -> Vec<String> {
    let first = key.find('[');
    let parent = &key[..first.unwrap_or(key.len())];
    let mut found = Vec::new();
    if !parent.is_empty() {
        found.push(parent.to_owned());
    }
    let mut next = first;
    while let Some(open) = next {
        let Some(close) =
            closing(key, open).filter(|_| found.len() < DEPTH + usize::from(!parent.is_empty()))
        else {
            found.push(format!("[{}]", &key[open..]));
            break;
        };
        found.push(key[open..=close].to_owned());
        next = key[close..].find('[').map(|ahead| close + ahead);
    }
    found
}

/// Where the bracket that opens at `open` closes, inner pairs counted.
fn closing(key: &str, open: usize) -> Option<usize> {
    let mut level = 0;
    for (at, byte) in key.bytes().enumerate().skip(open) {
        match byte {
            b'[' => level += 1,
            b']' if level == 1 => return Some(at),
            b']' => level -= 1,
            _ => {}
        }
    }
    None
}

/// Wraps the value in the lists and trees that its key describes, the innermost first.
fn nested(segments: &[String], value: Param) -> Param {
    segments.iter().rev().fold(value, |inner, segment| {
        if segment == "[]" {
            return match inner {
                Param::List(_) => inner,
                Param::Tree(ref tree) if tree.overflows() => inner,
                other => Param::List(List::from(vec![Some(other)])),
            };
        }
        let name = segment
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let place = name.and_then(js::index);
        match (place, name.unwrap_or(segment)) {
            (Some(at), _) if at < LIST_LIMIT => {
                let mut items = vec![None; at];
                items.push(Some(inner));
                Param::List(List::from(items))
            }
            (Some(at), name) => Param::Tree(Tree::overflowing(name, inner, at)),
            // This would name an object of JavaScript and not a field.
            (None, "__proto__") => Param::Tree(Tree::default()),
            (None, name) => Param::Tree(Tree::single(name, inner)),
        }
    })
}

/// Reads `+` as a space. Decodes all escapes, or none of them if one is invalid.
fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    match unescaped(&text) {
        Some(bytes) => String::from_utf8(bytes).unwrap_or(text),
        None => text,
    }
}

/// Like [`decode`], but decodes valid escapes even if others are invalid.
fn decode_leniently(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text)
        .decode_utf8_lossy()
        .into_owned()
}

/// The bytes that the escapes stand for; `None` when one of them is not `%` and two digits.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(raw: &str, expected: &str) {
        assert_eq!(parse(raw).to_string(), expected, "{raw}");
    }

    #[test]
    fn plain_and_repeated() {
        reads("", "{}");
        reads("a=1&b", "{a:1,b:}");
        reads("a=1&a=2&a=3", "{a:[1,2,3]}");
        reads("a=b=c&=x&&", "{a:b=c}");
        reads("a+b=c+d", "{a b:c d}");
    }

    #[test]
    fn brackets_nest() {
        reads("a[]=1&a[]=2", "{a:[1,2]}");
        reads("a[b]=1&a[c]=2", "{a:{b:1,c:2}}");
        reads("a[1]=x&a[0]=y", "{a:[y,x]}");
        reads("a[5]=x", "{a:[x]}");
        reads("a%5Bb%5D=c", "{a:{b:c}}");
        reads("[]=x", "{0:x}");
        reads("a[b=c", "{a:{[b:c}}");
        reads("a[b]c[d]=e", "{a:{b:{d:e}}}");
        reads("a[1][2][3][4][5][6][7]=x", "{a:[[[[[{[6][7]:x}]]]]]}");
    }

    #[test]
    fn mixtures_merge() {
        reads("a=x&a[b]=c", "{a:[x,{b:c}]}");
        reads("a[b]=c&a=x", "{a:[{b:c},x]}");
        reads("a[]=x&a=y", "{a:[x,y]}");
        reads("a[]=x&a=", "{a:[x]}");
        reads("a[1000]=x&a=y", "{a:{1000:x,1001:y}}");
        reads("a[b]=1&a=2&a[c]=3", "{a:{0:{b:1},1:2,c:3}}");
        reads("a[__proto__]=x&__proto__=y", "{a:{}}");
    }

    #[test]
    fn bad_escapes_stay_as_they_are() {
        reads("a=%zz+%41", "{a:%zz %41}");
        reads("a=%E3%81%82&b=%ff", "{a:あ,b:%ff}");
        reads("a=%", "{a:%}");
    }

    #[test]
    fn flat_parameters_know_no_brackets() {
        assert_eq!(
            flat("fields=a&fields[]=b&%66ields=c%zz%41", "fields"),
            ["a", "c%zzA"]
        );
    }
}
