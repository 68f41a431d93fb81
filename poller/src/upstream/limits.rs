//! How large a collection may be: in one answer, and together with the known records.
//!
//! A hostile upstream must not exhaust this process, and even less the readers, which hold every
//! collection in several forms. Pure: no I/O and no clock.

use chrono::{DateTime, Utc};
use shared::catalogue::snapshot::Snapshot;
use shared::catalogue::{Collection, PerCollection};

use crate::cycle::step::{Outcome, Result as Taken, Step, Trust, advance};

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

/// Takes one step. Rejects an answer if the collection would exceed the limits together with the
/// known records. The mirror keeps withdrawn records, so without this check an upstream could let
/// it grow for ever, a little with each sync.
pub fn advance_within(
    before: &Snapshot,
    upstream: &str,
    mut outcomes: PerCollection<Outcome>,
    trust: Trust,
    at: DateTime<Utc>,
) -> Step {
    let step = advance(before, upstream, outcomes.clone(), trust, at);
    let mut has_outgrown = false;
    for collection in Collection::ALL {
        let is_new = matches!(
            step.results[collection],
            Taken::Baseline | Taken::Changed(_)
        );
        if is_new && let Err(exceeded) = check(&json(&step.snapshot, collection)) {
            has_outgrown = true;
            outcomes[collection] = Outcome::Rejected(format!(
                "with the withdrawn records that are kept it would be {exceeded}; prune removes those"
            ));
        }
    }
    if has_outgrown {
        advance(before, upstream, outcomes, trust, at)
    } else {
        step
    }
}

fn json(snapshot: &Snapshot, collection: Collection) -> Vec<u8> {
    serde_json::to_vec(snapshot.records(collection)).expect("records are JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::catalogue::Answer;

    use super::*;
    use crate::cycle::step::built_in;

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

    /// An upstream that replaces a sixth of its films with each sync; that alone is not suspicious.
    #[test]
    fn what_is_known_does_not_grow_for_ever() {
        let film = |number: usize| json!({"id": number, "ballast": "x".repeat(1000)});
        let page = |sync: usize| -> Value { (sync * 100..sync * 100 + 600).map(film).collect() };
        let step_from = |before: &Snapshot, sync| {
            let outcomes = PerCollection::from_fn(|collection| match collection {
                Collection::Films => Outcome::Sent {
                    answer: Answer::read(page(sync).to_string().as_bytes()).unwrap(),
                    etag: Some(format!("\"{sync}\"")),
                },
                _ => Outcome::NotModified,
            });
            let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            advance_within(before, "http://u", outcomes, Trust::Suspicious, at)
        };
        let mut snapshot = built_in("http://u", DateTime::UNIX_EPOCH);
        let mut sync = 0;
        let rejected = loop {
            let step = step_from(&snapshot, sync);
            if step.results.films.reason().is_some() {
                break step;
            }
            snapshot = step.snapshot;
            sync += 1;
        };
        assert_eq!(
            sync, 5,
            "600 films, then 100 more each time, of a thousand bytes"
        );
        let reason = rejected.results.films.reason().unwrap();
        assert!(reason.contains("larger than 1048576 bytes"), "{reason}");
        assert_eq!(
            rejected.snapshot, snapshot,
            "not even the validator is taken"
        );

        // After the withdrawn records are removed, there is room again.
        let pruned = crate::cycle::step::prune(&snapshot, DateTime::UNIX_EPOCH)
            .unwrap()
            .0;
        assert_eq!(step_from(&pruned, sync).results.films.reason(), None);
    }
}
