//! Calendar dates as `YYYY-MM-DD` text.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Reads exactly `YYYY-MM-DD` of a day that exists.
pub(crate) fn leer(texto: &str) -> Option<Date> {
    // jiff also takes a date with a time or a short form; the round trip leaves one form per day, and the
    // length none that is not of four digits' years.
    let fecha: Date = texto.parse().ok()?;
    (texto.len() == 10 && fecha.to_string() == texto).then_some(fecha)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(crate) fn serialize<S: Serializer>(fecha: &Date, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(fecha)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Date, D::Error> {
    let texto = String::deserialize(d)?;
    leer(&texto).ok_or_else(|| D::Error::custom(format!("{texto:?} is not a date YYYY-MM-DD")))
}

#[cfg(test)]
mod tests {
    use super::leer;

    #[test]
    fn only_real_days_in_one_form() {
        assert!(leer("2026-11-30").is_some());
        assert!(leer("2028-02-29").is_some());
        for malo in [
            "2026-02-29",
            "2026-13-45",
            "20261130",
            "2026-11-30T10:00",
            " 2026-11-30",
            "-002026-11-30",
            "",
        ] {
            assert!(leer(malo).is_none(), "{malo:?}");
        }
    }
}
