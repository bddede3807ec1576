//! What people type: durations, instants, names and JSON, with errors that say what is wrong where.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A hundred years, in seconds.
const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;

/// Reads seconds (`90`, `1.5`) or a number with one of the units ms, s, m, h, d.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        unit => return Err(format!("`{unit}` is no unit of time, use ms, s, m, h or d")),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = digits
        .parse::<f64>()
        .ok()
        .filter(|_| is_number)
        .ok_or("a duration is a number of seconds, or carries a unit: 90, 1.5, 2m, 500ms")?
        * factor;
    if seconds > LONGEST {
        return Err("that is more than a hundred years".into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// Reads an instant with its offset; milliseconds since the epoch.
pub(crate) fn instant_ms(text: &str) -> Result<u64, String> {
    let instant: Timestamp = text
        .parse()
        .map_err(|e| format!("{e}; write it with its offset, such as 2030-01-31T08:00:00Z"))?;
    u64::try_from(instant.as_millisecond()).map_err(|_| "that is before 1970".into())
}

/// Writes an instant: RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(ms: u64) -> Option<String> {
    let instant = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(format!("{instant:.3}"))
}

/// Writes a run time as people read it: `0.4s`, `12.0s`, `3m05s`, `2h07m`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{:.1}s", seconds.max(0.0)),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3_600, whole % 3_600 / 60),
    }
}

pub(crate) fn json_array(text: &str) -> Result<Box<RawValue>, String> {
    json(text, '[', "a JSON array is needed, such as '[2, 3]'")
}

pub(crate) fn json_object(text: &str) -> Result<Box<RawValue>, String> {
    let object = json(
        text,
        '{',
        "a JSON object is needed, such as '{\"sku\": \"A-1\"}'",
    )?;
    serde_json::from_str::<NamedOnce>(text).map_err(|e| e.to_string())?;
    Ok(object)
}

/// An object each name of which is given once; its values are passed over.
struct NamedOnce;

impl<'de> Deserialize<'de> for NamedOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for NamedOnce {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if names.contains(&name) {
                let shown = name.escape_debug();
                return Err(A::Error::custom(format!(
                    "`{shown}` is given twice, give it once"
                )));
            }
            names.insert(name);
        }
        Ok(self)
    }
}

/// Reads the name of a worker.
pub(crate) fn node(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a worker's name is needed, such as w1@host; `taskq inspect ping` tells which there are".into()),
        name => Ok(name.to_owned()),
    }
}

/// Keeps the text as it is, so that numbers of any size stay what they are.
fn json(text: &str, first: char, rule: &str) -> Result<Box<RawValue>, String> {
    let raw: Box<RawValue> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if raw.get().starts_with(first) {
        Ok(raw)
    } else {
        Err(rule.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_carry_a_unit() {
        for (text, ms) in [
            ("90", 90_000),
            ("1.5", 1_500),
            ("2m", 120_000),
            ("500ms", 500),
            ("0", 0),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("0.5s", 500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "-1",
            "1w",
            "m",
            "1e9",
            "nan",
            "inf",
            "1.2.3",
            "99999999999999",
            "1 m",
            "２",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_need_their_offset() {
        assert_eq!(instant_ms("1970-01-01T00:00:01.5Z"), Ok(1_500));
        assert_eq!(instant_ms("1970-01-01T01:00:00+01:00"), Ok(0));
        assert!(
            instant_ms("2030-01-31T08:00:00")
                .unwrap_err()
                .contains("offset")
        );
        assert!(instant_ms("1969-12-31T00:00:00Z").is_err());
        assert_eq!(rfc3339(1_500).as_deref(), Some("1970-01-01T00:00:01.500Z"));
        assert_eq!(rfc3339(u64::MAX), None);
    }

    #[test]
    fn a_name_is_given_once_however_it_is_written() {
        for (text, name) in [
            (r#"{"a":1,"a":2}"#, "`a`"),
            (r#"{"a":1,"b":{},"\u0061":2}"#, "`a`"),
        ] {
            assert!(json_object(text).unwrap_err().contains(name), "{text}");
        }
        let deep = format!(
            r#"{{"a":{}{},"b":1}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        for text in [r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#, &deep] {
            assert_eq!(json_object(text).unwrap().get(), text);
        }
    }

    #[test]
    fn spans_read_well() {
        assert_eq!(span(0.44), "0.4s");
        assert_eq!(span(-3.0), "0.0s");
        assert_eq!(span(185.0), "3m05s");
        assert_eq!(span(7_620.0), "2h07m");
    }
}
