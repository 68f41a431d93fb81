//! The honest answer with something wrong in it.

use serde_json::Value;

use super::answer::pretty;

/// The first record once more at the end, with another title or name.
pub(super) fn with_duplicate(mut value: Value) -> Value {
    if let Some(records) = value.as_array_mut()
        && let Some(mut again) = records.first().cloned()
    {
        for field in ["title", "name"] {
            if let Some(Value::String(text)) = again.get_mut(field) {
                text.push_str(" again");
            }
        }
        records.push(again);
    }
    value
}

/// The last record with half an emoji as its title or name. Written as text: no value holds it.
pub(super) fn with_half_emoji(mut value: Value) -> String {
    const PLACE: &str = "half an emoji";
    if let Some(last) = value.as_array_mut().and_then(|records| records.last_mut()) {
        for field in ["title", "name"] {
            if let Some(text) = last.get_mut(field) {
                *text = PLACE.into();
            }
        }
    }
    pretty(&value).replace(PLACE, r"\ud83d")
}

/// One more record, of lists within lists. Written as text: a value that deep could not even be
/// dropped without overflowing the stack.
pub(super) fn with_nesting(value: &Value, depth: usize) -> String {
    let mut text = pretty(value);
    if !value.is_array() {
        return text;
    }
    text.truncate(text.trim_end_matches(']').trim_end().len());
    let comma = if text == "[" { "" } else { "," };
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    text + comma + "\n  {\n    \"id\": \"deep\",\n    \"nested\": " + &open + &close + "\n  }\n]"
}
