//! How messages are shown: arguments cut, times as people write them.

use jiff::Timestamp;
use serde_json::Value;
use taskq_core::Message;

/// Arguments longer than this are shown cut, as text.
const MOST_CHARS: usize = 1_024;

pub(super) fn args(message: &Message) -> Value {
    shown(message.args.as_deref().map_or("[]", |a| a.get()))
}

pub(super) fn kwargs(message: &Message) -> Value {
    shown(message.kwargs.as_deref().map_or("{}", |k| k.get()))
}

/// RFC 3339 in UTC, to the millisecond; a time that no calendar has is shown as its number.
pub(super) fn rfc3339(ms: u64) -> String {
    let instant = i64::try_from(ms).map(Timestamp::from_millisecond);
    match instant {
        Ok(Ok(instant)) => format!("{instant:.3}"),
        _ => ms.to_string(),
    }
}

/// JSON as it is, or its beginning as text when it is long.
fn shown(json: &str) -> Value {
    match json.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => Value::String(format!("{}…", &json[..end])),
        None => serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_arguments_are_cut_to_text() {
        assert_eq!(shown("[1,2]"), json!([1, 2]));
        let long = format!("[\"{}\"]", "ñ".repeat(2_000));
        let text = shown(&long);
        let text = text.as_str().expect("text");
        assert_eq!(text.chars().count(), MOST_CHARS + 1);
        assert!(text.starts_with("[\"ñ") && text.ends_with('…'));
    }

    #[test]
    fn a_time_is_shown_whatever_it_is() {
        assert_eq!(rfc3339(1_767_225_600_500), "2026-01-01T00:00:00.500Z");
        assert_eq!(rfc3339(u64::MAX), u64::MAX.to_string());
    }
}
