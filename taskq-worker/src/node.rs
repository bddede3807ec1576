//! Node names: what `%h`, `%n` and `%d` stand for, as in Celery.

use taskq_core::Error;

/// Expands a node name on the machine called `host`.
///
/// | written | becomes | on `bar.example.org` |
/// |---|---|---|
/// | `%h` | the machine's full name | `bar.example.org` |
/// | `%n` | its name without the domain | `bar` |
/// | `%d` | its domain | `example.org` |
/// | `%%` | a percent sign | `%` |
///
/// A name without `@` gets `@%h`.
///
/// # Errors
/// An unknown `%` word, an empty name, white space or control characters, more than 255 bytes.
///
/// # Example
/// ```
/// assert_eq!(taskq_worker::expand_node("w1@%n", "bar.example.org").unwrap(), "w1@bar");
/// assert_eq!(taskq_worker::expand_node("w1", "bar").unwrap(), "w1@bar");
/// ```
pub fn expand_node(template: &str, host: &str) -> Result<String, Error> {
    let (short, domain) = host.split_once('.').unwrap_or((host, ""));
    let mut name = String::with_capacity(template.len() + host.len());
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        match (c, c == '%') {
            (_, false) => name.push(c),
            _ => match rest.next() {
                Some('h') => name.push_str(host),
                Some('n') => name.push_str(short),
                Some('d') => name.push_str(domain),
                Some('%') => name.push('%'),
                other => {
                    let word: String = other.into_iter().collect();
                    return Err(refused(
                        template,
                        &format!("`%{word}` stands for nothing; use %h, %n, %d or %%"),
                    ));
                }
            },
        }
    }
    if !template.contains('@') {
        name = format!("{name}@{host}");
    }
    if name.starts_with('@') {
        return Err(refused(template, "the part before the @ is empty"));
    }
    if name.len() > 255 || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(refused(
            template,
            "a node name has at most 255 bytes and no white space",
        ));
    }
    Ok(name)
}

/// This machine's name.
pub(crate) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

fn refused(template: &str, why: &str) -> Error {
    let shown: String = template.chars().take(60).collect();
    Error::invalid(format!("{shown:?} is no node name: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_expand_as_in_celery() {
        for (template, name) in [
            ("w1@%h", "w1@bar.example.org"),
            ("%n-1@%d", "bar-1@example.org"),
            ("w%%@x", "w%@x"),
            ("w1", "w1@bar.example.org"),
        ] {
            assert_eq!(expand_node(template, "bar.example.org").unwrap(), name);
        }
        assert_eq!(expand_node("a@%d", "bar").unwrap(), "a@");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (template, reason) in [
            ("", "before the @ is empty"),
            ("@h", "before the @ is empty"),
            ("w%i@%h", "`%i` stands for nothing"),
            ("w%", "`%` stands for nothing"),
            ("w 1@h", "no white space"),
        ] {
            let error = expand_node(template, "bar").unwrap_err().to_string();
            assert!(error.contains(reason), "{template}: {error}");
        }
    }
}
