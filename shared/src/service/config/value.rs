//! Finds and cleans the text of a variable, before other code parses it.
//!
//! The same for every variable. Editors, `docker run --env-file` and shells add characters that do
//! not belong to the value: blanks, a carriage return, a byte order mark, quotes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Variable;

/// The longest value, in bytes: enough for any path, and for sixteen hosts with a password.
pub(super) const MAX_BYTES: usize = 8 << 10;

/// The longest message about one variable, in characters.
const MAX_MESSAGE: usize = 400;

/// The value of a variable, or of the file that `NAME_FILE` names; `None` when it is blank or not
/// set.
pub(super) fn text_of(
    variable: &Variable,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Option<String>, String> {
    let set = |name: &str| {
        let value = environment.get(OsStr::new(name));
        value.map(|value| cleaned(value.as_encoded_bytes()))
    };
    let direct = set(variable.name).transpose()?.flatten();
    if !variable.secret {
        return Ok(direct);
    }
    let file_variable = format!("{}_FILE", variable.name);
    let in_file = |error: String| format!("{file_variable} {error}");
    let file = set(&file_variable).transpose().map_err(in_file)?.flatten();
    match (direct, file) {
        (Some(_), Some(_)) => Err(format!("set either this or {file_variable}, not both")),
        (None, Some(path)) => match read_secret(Path::new(&path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(format!("the file that {file_variable} names {error}")),
        },
        (direct, None) => Ok(direct),
    }
}

/// The file that `NAME_FILE` names, if one is named.
pub fn secret_file(
    name: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Option<PathBuf> {
    let file_variable = format!("{name}_FILE");
    let (_, value) = environment
        .into_iter()
        .find(|(name, _)| *name == *file_variable)?;
    let path = cleaned(value.as_encoded_bytes()).ok()?;
    path.map(PathBuf::from)
}

/// Reads a value from a file.
///
/// # Errors
/// A message that continues a sentence; the sentence begins with the file's name.
pub fn read_secret(path: &Path) -> Result<String, String> {
    let bytes = read(path).map_err(|error| format!("cannot be read: {error}"))?;
    cleaned(&bytes)?.ok_or("is empty".to_owned())
}

/// Removes blanks, line ends and a byte order mark around a value. Refuses what no variable can
/// use. The messages continue a sentence that begins with the name of the variable or file.
fn cleaned(bytes: &[u8]) -> Result<Option<String>, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16; save it as UTF-8".into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        return Err(
            "has quotes around it; leave them out, as `docker run --env-file` and others pass \
             them on"
                .into(),
        );
    }
    if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
        let code = u32::from(control);
        return Err(format!("has the control character U+{code:04X} in it"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// A little more than the longest value, so that the reader notices a longer one.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Cuts out the middle of a message that repeats a long value. The end says what is expected.
pub(super) fn bounded(message: &str) -> String {
    let length = message.chars().count();
    if length <= MAX_MESSAGE {
        return message.to_owned();
    }
    let start: String = message.chars().take(MAX_MESSAGE / 4).collect();
    let end: String = message.chars().skip(length - MAX_MESSAGE * 3 / 4).collect();
    format!("{start} […] {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_marks_are_removed_around_a_value_and_not_within() {
        for text in [
            "a b",
            " a b ",
            "a b\r",
            "a b\r\n",
            "\t a b\n\n",
            "\u{feff}a b",
            "\u{feff} a b\r\n",
            "\u{a0}a b\u{3000}",
        ] {
            assert_eq!(cleaned(text.as_bytes()), Ok(Some("a b".into())), "{text:?}");
        }
        for nothing in ["", " ", "\r", "\u{feff}\r\n"] {
            assert_eq!(cleaned(nothing.as_bytes()), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn quotes_control_characters_and_other_encodings_are_refused() {
        let utf_16 = [0xff, 0xfe, b'a', 0];
        for (bytes, expected) in [
            (&b"\"a\""[..], "has quotes around it; leave them out"),
            (b"'a'\r", "has quotes around it; leave them out"),
            (b"\"a", "has quotes around it; leave them out"),
            (b"a\nb", "has the control character U+000A in it"),
            (b"a\x1b[2Jb", "has the control character U+001B in it"),
            (&utf_16, "is UTF-16; save it as UTF-8"),
            (b"a\xff", "is not UTF-8"),
            (&[b'a'; MAX_BYTES + 1], "is longer than 8192 bytes"),
        ] {
            let error = cleaned(bytes).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_message_keeps_its_end() {
        assert_eq!(bounded("expected true"), "expected true");
        let long = format!("unknown `{}`, expected true", "é".repeat(5000));
        let short = bounded(&long);
        assert!(short.chars().count() < 410, "{short}");
        assert!(short.starts_with("unknown `é") && short.ends_with("`, expected true"));
    }
}
