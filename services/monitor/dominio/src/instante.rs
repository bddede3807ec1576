//! Instants.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// An instant, in ms since the epoch; as JSON RFC 3339 in UTC, and `null` beyond the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instante(pub u64);

impl Instante {
    /// As RFC 3339 in UTC.
    #[must_use]
    pub fn rfc3339(self) -> Option<String> {
        let ms = i64::try_from(self.0).ok()?;
        let instante = Timestamp::from_millisecond(ms).ok()?;
        Some(format!("{instante:.3}"))
    }
}

impl Serialize for Instante {
    fn serialize<S: Serializer>(&self, escritor: S) -> Result<S::Ok, S::Error> {
        self.rfc3339().serialize(escritor)
    }
}

#[cfg(test)]
mod tests {
    use super::Instante;

    #[test]
    fn as_json_it_is_rfc_3339() {
        let json = |ms| serde_json::to_string(&Instante(ms)).unwrap();
        assert_eq!(json(1_795_000_000_007), r#""2026-11-18T11:06:40.007Z""#);
        assert_eq!(json(u64::MAX), "null");
    }
}
