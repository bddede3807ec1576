//! Commands that people know from elsewhere and that do not exist (yet): each is answered with a sentence.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const LATER: &str = "is not built yet";

/// Under `taskq`: the word, and what is to be said about it.
const COMMANDS: &[(&str, &str)] = &[
    ("amqp", "does not exist: taskq has no AMQP broker"),
    ("beat", LATER),
    ("control", LATER),
    ("doctor", LATER),
    ("events", LATER),
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
    ("report", LATER),
    ("revoke", LATER),
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
    ("active_queues", LATER),
    ("clock", "does not exist: taskq keeps no logical clock"),
    ("conf", LATER),
    ("memdump", LATER),
    ("memsample", LATER),
    ("objgraph", "does not exist: it is about Python objects"),
    ("query_task", LATER),
    ("report", LATER),
    ("reserved", LATER),
    ("revoked", LATER),
    ("scheduled", LATER),
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
    let asks_workers = usage.is_some_and(|u| u.contains("taskq inspect"));
    let (table, path) = if asks_workers {
        (QUESTIONS, "taskq inspect")
    } else {
        (COMMANDS, "taskq")
    };
    let (_, sentence) = table.iter().find(|entry| entry.0 == word)?;
    Some(format!("`{path} {word}` {sentence}"))
}
