//! Before something is done to many: the count, and the question.

use crate::console::Console;
use crate::exit::{Exit, Stop};

/// Asks whether to go on with `what` (such as "drop 3 dead messages"); `yes`: that was said on the command line.
///
/// # Errors
/// Exit 1 for a no; exit 2, saying that `--yes` is needed, where there is nobody to ask.
pub(super) fn sure(what: &str, yes: bool, console: &mut Console<'_>) -> Result<(), Stop> {
    if yes {
        return Ok(());
    }
    match console.confirm(&format!("{what}?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Stop::new(Exit::Failed, "nothing was done")),
        None => Err(Stop::new(
            Exit::Usage,
            format!("this would {what}; nobody is there to ask: say --yes to do it"),
        )),
    }
}

/// `1 message`, `12,040 messages`.
pub(super) fn counted(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(n))
}

/// A number with its thousands set apart: `12,040`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_040, "12,040"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(counted(1, "message"), "1 message");
        assert_eq!(counted(0, "message"), "0 messages");
    }
}
