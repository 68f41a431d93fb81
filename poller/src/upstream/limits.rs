//! How large a collection may be: in one answer, and together with the known records.
//!
//! A hostile upstream must not exhaust this process, and even less the readers, which hold every
//! collection in several forms. Pure: no I/O and no clock.

/// The largest collection, in bytes of JSON after decompression: thirty times the upstream's
/// largest.
pub const MAX_BYTES: usize = 1 << 20;

/// The most values in a collection: lists, objects, numbers and all. Thirty times the upstream's
/// most. In memory each value takes about a hundred bytes, even a very short one.
pub const MAX_VALUES: usize = 20_000;

/// The limit that a collection exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Bytes.
    #[error("larger than {MAX_BYTES} bytes")]
    Bytes,
    /// Values.
    #[error("more than {MAX_VALUES} values")]
    Values,
}

/// Measures JSON before it is parsed.
///
/// # Errors
/// [`Exceeded`], when it is larger than any real collection.
pub fn check(json: &[u8]) -> Result<(), Exceeded> {
    if json.len() > MAX_BYTES {
        Err(Exceeded::Bytes)
    } else if values(json) > MAX_VALUES {
        Err(Exceeded::Values)
    } else {
        Ok(())
    }
}

/// Counts the values in JSON; an empty list or object counts twice. For invalid JSON, the count is
/// at least the number of values before the first mistake, where a parser stops.
fn values(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (json, count) in [
            ("7", 1),
            (r#"[{"id":"a","x":[1,2]},3]"#, 7),
            (r#"["[,{", "\"[,", "\\", 4]"#, 5),
            ("[[[", 4),
            ("[]", 2),
        ] {
            assert_eq!(values(json.as_bytes()), count, "{json}");
        }
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let blank = |bytes| format!("[{}]", " ".repeat(bytes - 2));
        assert_eq!(check(blank(MAX_BYTES).as_bytes()), Ok(()));
        assert_eq!(check(blank(MAX_BYTES + 1).as_bytes()), Err(Exceeded::Bytes));
        let zeros = |values| format!("[{}0]", "0,".repeat(values - 2));
        assert_eq!(check(zeros(MAX_VALUES).as_bytes()), Ok(()));
        assert_eq!(
            check(zeros(MAX_VALUES + 1).as_bytes()),
            Err(Exceeded::Values)
        );
    }
}
