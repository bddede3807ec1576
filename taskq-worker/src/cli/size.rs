//! Amounts of memory on a command line.

/// Bytes with their unit: `512MB`, `1.5GiB`, `800M`. Without one it is refused: Celery's number counts in KiB, others' in
/// bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{text:?} is no amount of memory: write a number with its unit, such as 512MB or 1.5GiB"
        )
    };
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match &*unit.to_ascii_lowercase() {
        "k" | "kb" => 1e3,
        "ki" | "kib" => 1024.0,
        "m" | "mb" => 1e6,
        "mi" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" => 1e9,
        "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim_end().parse().map_err(|_| wrong())?;
    let bytes = number * scale;
    // Far below where a float leaves out whole numbers.
    if !(1.0..=1e15).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn an_amount_has_a_unit() {
        for (text, expected) in [
            ("512MB", 512_000_000),
            ("512 mb", 512_000_000),
            ("800M", 800_000_000),
            ("1.5GiB", 1_610_612_736),
            ("64KiB", 65_536),
            ("2g", 2_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in [
            "", "512", "MB", "-1MB", "0MB", "1TBs", "nanMB", "1e30GB", "5 apples",
        ] {
            assert!(bytes(text).unwrap_err().contains("is no amount"), "{text}");
        }
    }
}
