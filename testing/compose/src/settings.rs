//! Settings: a file of `NAME=VALUE`, and the `${NAME:-default}` that take them up.

use std::collections::BTreeMap;

use serde_json::Value;

/// The variables that a compose file is filled in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads lines of `NAME=VALUE`; empty ones and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// A line of another form, or a name that stands there twice.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| format!("{line:?} is no NAME=VALUE"))?;
            let before = found.0.insert(name.to_owned(), value.to_owned());
            if before.is_some() {
                return Err(format!("{name} is set twice"));
            }
        }
        Ok(found)
    }

    /// The same with one more, or with another value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Fills in all texts of `value`.
    pub(crate) fn fill(&self, value: Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.filled(&text)?),
            Value::Array(items) => {
                let items: Result<_, _> = items.into_iter().map(|i| self.fill(i)).collect();
                Value::Array(items?)
            }
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(k, v)| Ok((k, self.fill(v)?)));
                Value::Object(fields.collect::<Result<_, String>>()?)
            }
            other => other,
        })
    }

    /// `text` with `${NAME:-default}` replaced (one that is set to nothing takes its default) and `$$` as `$`.
    fn filled(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            filled.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                filled.push('$');
                rest = after;
                continue;
            }
            let (word, after) = after
                .strip_prefix('{')
                .and_then(|after| after.split_once('}'))
                .ok_or_else(|| {
                    format!("{text:?}: a $ that is no ${{NAME:-default}}; one for a shell is $$")
                })?;
            let (name, default) = word
                .split_once(":-")
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| {
                    format!("{text:?}: ${{{word}}} has no default: ${{NAME:-default}}")
                })?;
            let set = self.0.get(name).filter(|v| !v.is_empty());
            filled.push_str(set.map_or(default, String::as_str));
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// The `NAME` and the default of each `${NAME:-default}` in `text`.
pub(crate) fn taken_up(text: &str) -> Vec<(&str, &str)> {
    let words = text.split("${").skip(1);
    let words = words.filter_map(|rest| rest.split_once('}'));
    words
        .filter_map(|(word, _)| word.split_once(":-"))
        .collect()
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_goes_before_the_default_and_empty_is_unset() {
        let settings = Settings::read("# a\n\nA=1\nB=x=y\nC=\n").expect("settings");
        for (text, filled) in [
            ("${A:-9} ${B:-9} ${C:-9} ${D:-}", "1 x=y 9 "),
            ("$$HOSTNAME $$$$", "$HOSTNAME $$"),
            ("redis://${H:-redis}:${A:-2}/0", "redis://redis:1/0"),
        ] {
            assert_eq!(settings.filled(text).as_deref(), Ok(filled), "{text}");
        }
        for wrong in ["$HOSTNAME", "${A}", "${A", "a $", "${a b:-c}"] {
            assert!(settings.filled(wrong).is_err(), "{wrong}");
        }
        for wrong in ["A", "=1", "A B=1", "A=1\nA=2"] {
            assert!(Settings::read(wrong).is_err(), "{wrong}");
        }
    }
}
