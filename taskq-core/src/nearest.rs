//! Names that may be misspelt.

/// The one of `known` that `word` was probably meant to be: it takes the fewest changes (a character added, left out or
/// replaced, two neighbours swapped), at most one in three characters of `word`, but one of a shorter word, too: for `a` it may
/// be `g`. Of several that take as few it is the first by the order of their bytes, whatever that of `known`.
///
/// For who sends by name and finds that nobody has published the task, or that nobody knows the queue.
///
/// ```
/// use taskq_core::nearest;
///
/// let published = ["mail.send", "mail.fetch"];
/// assert_eq!(nearest("mail.snd", published), Some("mail.send"));
/// assert_eq!(nearest("stock.count", published), None);
/// ```
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let most = (length / 3).max(1);
    let (_, name) = known
        .into_iter()
        // So many changes it takes at least; a word without end is compared with nothing.
        .filter(|name| name.chars().count().abs_diff(length) <= most)
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(changes, _)| *changes <= most)
        .min()?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_changes_win_and_the_first_name_of_as_many() {
        let known = ["geo", "mail.send", "mail.bend", "celery"];
        for (word, name) in [
            ("clery", Some("celery")),
            ("Celery", Some("celery")),
            ("goe", Some("geo")),
            ("g", None),
            ("go", Some("geo")),
            ("mail.end", Some("mail.bend")),
            ("mail.sned", Some("mail.send")),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), name, "{word}");
        }
        assert_eq!(nearest(&"geo".repeat(1_000_000), known), None);
        assert_eq!(nearest("geo", []), None);
        assert_eq!(nearest("a", ["g", "c", "car"]), Some("c"));
    }
}
