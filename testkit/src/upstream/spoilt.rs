//! Honest answers with an error in them.

use serde_json::Value;

use super::body::pretty;

/// Adds the first record again at the end, with another title or name.
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

/// Sets half an emoji as the last record's title or name. Returns text: no `Value` can hold it.
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

/// Adds a record of lists within lists. Returns text: even dropping such a deep value would
/// overflow the stack.
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
