//! The Lua scripts and the only way to call them.

use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// One script: its name, its text, its digest.
pub(super) struct Lua {
    #[cfg(test)]
    name: &'static str,
    text: &'static str,
    script: LazyLock<Script>,
}

/// Declares the scripts, each with the fragments it begins with.
macro_rules! scripts {
    ($($name:ident = $file:literal $(+ $fragment:literal)*;)*) => {
        $(
            pub(super) static $name: Lua = Lua {
                #[cfg(test)]
                name: $file,
                text: concat!($(include_str!(concat!("lua/_", $fragment, ".lua")), "\n",)* include_str!(concat!("lua/", $file, ".lua"))),
                script: LazyLock::new(|| Script::new($name.text)),
            };
        )*
        /// All scripts.
        pub(super) static ALL: &[&Lua] = &[$(&$name),*];
    };
}

scripts! {
    ENQUEUE = "enqueue" + "time" + "typed" + "record" + "tell" + "count";
    OPEN = "open" + "time";
    CLAIM = "claim" + "time" + "typed";
    FINISH = "finish" + "time" + "typed" + "record" + "tell" + "count" + "wake" + "dead";
    STARTED = "started" + "time" + "typed" + "record" + "tell";
    BEAT = "beat" + "time";
    RETIRE = "retire";
    RESIGN = "resign" + "time";
    CLOSE = "close" + "time";
    PAST = "past" + "time" + "typed" + "dead";
    DROP = "drop" + "time";
    TAKE = "take" + "time";
    GIVE = "give" + "time" + "typed" + "record" + "tell" + "count" + "wake" + "dead";
    WATCH = "watch" + "time" + "typed" + "record";
    UNWATCH = "unwatch";
    REGISTER = "register" + "time";
    WITHDRAW = "withdraw";
    CARD = "card";
    PUBLISH = "publish" + "time";
    ALIVE = "alive" + "time";
    PAUSE = "pause" + "time";
    RESUME = "resume";
    REPLAY = "replay" + "time" + "typed" + "record" + "tell" + "count" + "leave" + "serial";
    DISCARD = "discard" + "typed" + "leave";
    KNOWN = "known";
    REVOKE = "revoke" + "time" + "typed" + "serial";
    MARK = "mark" + "time" + "typed" + "record" + "tell" + "wake" + "serial";
    LOOK = "look" + "typed";
    PURGE = "purge" + "time" + "typed" + "record" + "tell" + "count" + "wake";
}

impl Lua {
    /// The call of this script, up to and including its keys; arguments follow.
    pub(super) fn call<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Cmd {
        let keys: Vec<K> = keys.into_iter().collect();
        let mut call = cmd("EVALSHA");
        call.arg(self.script.get_hash()).arg(keys.len());
        for key in &keys {
            call.arg(key.as_ref());
        }
        call
    }

    /// The command that makes the server know it.
    pub(super) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.text);
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indices of KEYS or ARGV: from the first to the last, or without an end known before the script runs.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Span(usize, Option<usize>);

    impl Span {
        fn has(self, index: usize) -> bool {
            index >= self.0 && self.1.is_none_or(|last| index <= last)
        }
    }

    /// What stands between the brackets behind each `opening`.
    fn within<'a>(text: &'a str, opening: &str, closing: char) -> Vec<&'a str> {
        text.split(opening)
            .skip(1)
            .filter_map(|rest| rest.split(closing).next())
            .collect()
    }

    /// A number, and whether it is all there is.
    fn number(text: &str) -> Option<(usize, bool)> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        Some((text[..end].parse().ok()?, end == text.len()))
    }

    /// The header's `KEYS[1]`, `KEYS[5..14]`, `ARGV[7..]`.
    fn told(header: &str, table: &str) -> Vec<Span> {
        let one = |inside: &str| match inside.split_once("..") {
            None => inside.parse().map(|n| Span(n, Some(n))),
            Some((first, "")) => first.parse().map(|n| Span(n, None)),
            Some((first, last)) => first
                .parse()
                .and_then(|n| last.parse().map(|last| Span(n, Some(last)))),
        };
        within(header, &format!("{table}["), ']')
            .into_iter()
            .map(|inside| one(inside).expect(inside))
            .collect()
    }

    /// The indices that stand in the code, and whether others are computed out of nothing but variables.
    fn used(code: &str, table: &str) -> (Vec<Span>, bool) {
        let (mut spans, mut computed) = (Vec::new(), false);
        let mut indices = within(code, &format!("{table}["), ']');
        let mut ranges = within(code, &format!("unpack({table}, "), ')');
        if table == "KEYS" {
            // Our own functions that take an index.
            indices.extend(within(code, " pop(", ')'));
            ranges.extend(within(code, "mistyped(", ')'));
        }
        for index in indices {
            match number(index) {
                Some((n, alone)) => spans.push(Span(n, alone.then_some(n))),
                None => computed = true,
            }
        }
        for range in ranges {
            let mut ends = range.split(',').map(number);
            if let (Some(Some((first, true))), Some(last)) = (ends.next(), ends.next()) {
                spans.push(Span(first, last.and_then(|(n, alone)| alone.then_some(n))));
            }
        }
        (spans, computed)
    }

    /// What does not agree between a header and its code.
    fn disagreements(header: &str, code: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for table in ["KEYS", "ARGV"] {
            let (told, (used, computed)) = (told(header, table), used(code, table));
            for span in &used {
                let open = span.1.is_none();
                // An index counted from 1 is written with the number before its first.
                let mut all = span.0..=span.1.unwrap_or(span.0);
                let is_told = all.all(|n| {
                    let at = |n| told.iter().any(|t| t.has(n) && (!open || t.1 != Some(t.0)));
                    at(n) || open && at(n + 1)
                });
                if !is_told {
                    wrong.push(format!("uses {table}{span:?}, its header does not tell"));
                }
            }
            for span in &told {
                let exactly = |n| used.iter().any(|u| u.1.is_some() && u.has(n));
                let from = |n| used.iter().any(|u| u.1.is_none() && u.0 == n);
                let opened = from(span.0) || from(span.0 - 1);
                let is_used = match span.1 {
                    None => opened || computed || exactly(span.0),
                    Some(last) if last == span.0 => exactly(last),
                    Some(last) => {
                        let some = (span.0..=last).any(exactly);
                        (span.0..=last).all(exactly) || !some && opened
                    }
                };
                if !is_used {
                    wrong.push(format!("tells of {table}{span:?} and does not use it"));
                }
            }
        }
        wrong
    }

    /// The header of each file names its KEYS and ARGV; the code uses no others, and all of them.
    #[test]
    fn headers_tell_what_the_scripts_use() {
        for lua in ALL {
            let own = lua.text.find(&format!("-- {}.lua: ", lua.name));
            let own = own.unwrap_or_else(|| {
                panic!("{}.lua does not begin with its name and duty", lua.name)
            });
            let (fragments, own) = lua.text.split_at(own);
            let end = own
                .lines()
                .take_while(|l| l.starts_with("--"))
                .map(|l| l.len() + 1)
                .sum();
            let (header, body) = own.split_at(end);
            assert!(
                header.contains("-- returns ") && header.contains("-- events "),
                "{}",
                lua.name
            );
            // Of the fragments only the clock reads an argument of its own.
            let clock = fragments.lines().filter(|l| l.ends_with("+ ARGV[1]"));
            let code = clock.chain([body]).collect::<Vec<_>>().join("\n");
            let wrong = disagreements(header, &code);
            assert!(wrong.is_empty(), "{}.lua {wrong:#?}", lua.name);
        }
    }

    #[test]
    fn a_header_that_lies_is_found() {
        let header = "-- KEYS[1] a  KEYS[2..4] b  KEYS[5..] c\n-- ARGV[1] d  ARGV[2..3] e";
        let code = "KEYS[1] mistyped(2, 4, 'list') KEYS[4 + i] ARGV[1] ARGV[2] ARGV[3]";
        assert_eq!(disagreements(header, code), Vec::<String>::new());
        for (header, code) in [
            (header.replace("KEYS[2..4]", "KEYS[2..3]"), code.to_owned()),
            (header.replace("ARGV[2..3]", "ARGV[2..4]"), code.to_owned()),
            (header.replace("KEYS[5..]", "KEYS[6..]"), code.to_owned()),
            (header.replace("KEYS[1]", ""), code.to_owned()),
            (header.to_owned(), code.replace("ARGV[3]", "")),
            (header.to_owned(), code.replace("KEYS[1]", "")),
            (header.to_owned(), code.replace("KEYS[4 + i]", "")),
            (header.to_owned(), code.replace("2, 4", "2, 3")),
            (header.to_owned(), format!("{code} ARGV[4]")),
        ] {
            assert_ne!(
                disagreements(&header, &code),
                Vec::<String>::new(),
                "{header}\n{code}"
            );
        }
    }

    #[test]
    fn every_file_is_a_script_or_a_fragment() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/broker/redis/lua");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.strip_suffix(".lua").unwrap();
            assert!(
                stem.starts_with('_') || ALL.iter().any(|l| l.name == stem),
                "{name} is used by no one"
            );
        }
    }
}
