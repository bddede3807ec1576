//! Commands that people know from elsewhere and that do not exist (yet): each is answered with a sentence.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const LATER: &str = "is not built yet";

/// Under `taskq`: the word, and what is to be said about it.
const COMMANDS: &[(&str, &str)] = &[
    ("amqp", "does not exist: taskq has no AMQP broker"),
    ("beat", LATER),
    ("doctor", LATER),
    ("flower", LATER),
    ("graph", LATER),
    ("logtool", LATER),
    ("migrate", LATER),
    (
        "multi",
        "does not exist: start each worker as a service of its own, for example by systemd",
    ),
    ("ping", "is called `taskq inspect ping`"),
    ("active", "is called `taskq inspect active`"),
    ("registered", "is called `taskq inspect registered`"),
    ("replay", "is called `taskq dead replay`"),
    ("report", "is called `taskq inspect report`"),
    ("revoke", "is called `taskq control revoke`"),
    ("scheduled", "is called `taskq inspect scheduled`"),
    ("shutdown", "is called `taskq control shutdown`"),
    ("stats", "is called `taskq inspect stats`"),
    ("shell", "does not exist: `taskq call` sends a task"),
    ("top", LATER),
    (
        "upgrade",
        "does not exist: there is no older format to upgrade from",
    ),
    (
        "worker",
        "does not exist: a worker is your own program, made with the crate taskq-worker; start that one",
    ),
];

/// Under `taskq inspect`.
const QUESTIONS: &[(&str, &str)] = &[
    ("clock", "does not exist: taskq keeps no logical clock"),
    (
        "hello",
        "does not exist: workers share what they know through the broker",
    ),
    ("memdump", "does not exist: it is about Python objects"),
    ("memsample", "is part of `taskq inspect stats`"),
    ("objgraph", "does not exist: it is about Python objects"),
];

/// Under `taskq control`.
const ORDERS: &[(&str, &str)] = &[
    (
        "autoscale",
        "does not exist: a slot that has nothing to do costs nothing; `taskq control pool_grow` adds some",
    ),
    (
        "disable_events",
        "does not exist: events are part of what is stored and always told",
    ),
    (
        "election",
        "does not exist: workers share what they know through the broker",
    ),
    (
        "enable_events",
        "does not exist: events are part of what is stored and always told",
    ),
    (
        "heartbeat",
        "does not exist: every worker tells that it lives by itself",
    ),
    (
        "pool_restart",
        "does not exist: a worker that its supervisor starts again after `taskq control shutdown` has new code",
    ),
    ("rate_limit", LATER),
    (
        "revoke_by_stamped_headers",
        "is called `taskq control revoke --header NAME=VALUE`",
    ),
];

/// The sentence for a word that clap does not know but we do.
pub(crate) fn explain(error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let usage = error.get(ContextKind::Usage).map(ToString::to_string);
    let under = |path| usage.as_ref().is_some_and(|u| u.contains(path));
    let (table, path) = if under("taskq inspect") {
        (QUESTIONS, "taskq inspect")
    } else if under("taskq control") {
        (ORDERS, "taskq control")
    } else {
        (COMMANDS, "taskq")
    };
    let (_, sentence) = table.iter().find(|entry| entry.0 == word)?;
    Some(format!("`{path} {word}` {sentence}"))
}
