//! Colours, for terminals alone: a word that names a state has one, everything else stays as it is.

/// How text is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// So many columns are there; `None`: nothing is cut.
    pub(crate) width: Option<usize>,
    /// States have colours.
    pub(crate) colours: bool,
}

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const BLUE: &str = "34";
const MAGENTA: &str = "35";
const CYAN: &str = "36";

impl Look {
    /// `shown` in the colour of the state, or the kind of event, that `word` names.
    pub(crate) fn state(self, word: &str, shown: &str) -> String {
        match colour(word).filter(|_| self.colours) {
            Some(colour) => format!("\u{1b}[{colour}m{shown}\u{1b}[0m"),
            None => shown.to_owned(),
        }
    }

    /// As much of `text` as fits.
    pub(crate) fn fit(self, text: &str) -> String {
        match self.width {
            Some(width) => cut(text, width),
            None => text.to_owned(),
        }
    }
}

/// At most `width` characters of `text`, the sign for what is left out included.
pub(crate) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some(_) => text
            .chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect(),
        None => text.to_owned(),
    }
}

fn colour(word: &str) -> Option<&'static str> {
    let colour = match word {
        "SUCCESS" | "OK" | "task-succeeded" | "worker-online" => GREEN,
        "FAILURE" | "DEAD" | "silent" | "task-failed" | "task-rejected" | "worker-offline" => RED,
        "RETRY" | "task-retried" => YELLOW,
        "REVOKED" | "task-revoked" => MAGENTA,
        "STARTED" | "task-started" => BLUE,
        "QUEUED" | "SCHEDULED" | "task-sent" => CYAN,
        _ => return None,
    };
    Some(colour)
}

#[cfg(test)]
mod tests {
    use taskq_core::State;

    use super::*;

    #[test]
    fn every_state_has_a_colour_and_other_words_have_none() {
        let look = Look {
            colours: true,
            ..Look::default()
        };
        for state in State::ALL {
            let word = state.as_str();
            assert!(look.state(word, word).starts_with("\u{1b}["), "{word}");
            assert_eq!(Look::default().state(word, word), word);
        }
        assert_eq!(look.state("x", "x"), "x");
    }
}
