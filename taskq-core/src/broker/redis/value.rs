//! Reading the server's answers.

use redis::Value;

/// The text of a status or a bulk string.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Okay => Some("OK"),
        Value::SimpleString(text) => Some(text),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// A whole number, also as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        other => {
            let text = text(other)?;
            // Scores come as floating point text when they are large.
            text.parse::<u64>().ok().or_else(|| {
                let score = text.parse::<f64>().ok()?;
                (0.0..9e15).contains(&score).then_some(score as u64)
            })
        }
    }
}

/// The elements of an array.
pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Some(values),
        _ => None,
    }
}

/// The bytes of a bulk string.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        Value::Int(n) => Some(n.to_string().into_bytes()),
        _ => None,
    }
}

/// The members of a set, as text.
pub(super) fn members(value: Value) -> Vec<String> {
    array(value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|v| bytes(v).and_then(|b| String::from_utf8(b).ok()))
        .collect()
}
