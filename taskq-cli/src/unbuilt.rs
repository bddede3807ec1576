//! Commands that people know from elsewhere and that do not exist (yet): each is answered with a sentence.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use crate::args::Cli;

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

/// Options of other programs: of which command, how they are spelt, and what is to be said about them.
const OPTIONS: &[(&str, &[&str], &str)] = &[
    ("taskq call", &["-q", "-Q"], "is spelt `--queue`"),
    (
        "taskq call",
        &["--exchange", "--routing-key"],
        "does not exist: `--queue` names where it goes",
    ),
    ("taskq control revoke", &["-s", "--signal"], NO_SIGNAL),
    ("taskq control terminate", &["-s", "--signal"], NO_SIGNAL),
    ("taskq purge", &["-f", "--force"], "is spelt `--yes`"),
    (
        "taskq purge",
        &["-Q", "--queues", "--queue"],
        "is not needed: name the queue alone, `taskq purge QUEUE`",
    ),
    (
        "taskq purge",
        &["-X", "--exclude-queues"],
        "does not exist: name the queue to purge, `taskq purge QUEUE`",
    ),
];

const NO_SIGNAL: &str = "does not exist: a task is no process, so there is no signal to choose; `taskq control terminate ID` cuts off \
    what runs";

/// The sentence for what clap does not know but we do.
pub(crate) fn explain(error: &Error) -> Option<String> {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let usage = error.get(ContextKind::Usage).map(ToString::to_string);
    let path = path(&usage.unwrap_or_default());
    match error.kind() {
        ErrorKind::InvalidSubcommand => subcommand(&path, of(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let typed = of(ContextKind::InvalidArg)?;
            let is_it =
                |entry: &&(&str, &[&str], &str)| entry.0 == path && entry.1.contains(&typed);
            let (_, _, sentence) = OPTIONS.iter().find(is_it)?;
            Some(format!("`{path} {typed}` {sentence}"))
        }
        ErrorKind::ValueValidation => {
            let typed = of(ContextKind::InvalidValue)?;
            let is_id = of(ContextKind::InvalidArg)?.contains("ID");
            let is_signal =
                typed.starts_with("SIG") || ["TERM", "KILL", "INT", "HUP"].contains(&typed);
            (is_id && is_signal).then(|| format!("{typed} is no id, and a signal {NO_SIGNAL}"))
        }
        _ => None,
    }
}

/// The words of the command that a usage line is about.
fn path(usage: &str) -> String {
    let words = usage.split_whitespace().skip_while(|word| *word != "taskq");
    let words = words.take_while(|word| !word.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}

fn subcommand(path: &str, word: &str) -> Option<String> {
    let table = match path {
        "taskq inspect" => QUESTIONS,
        "taskq control" => ORDERS,
        "taskq" => COMMANDS,
        _ => &[],
    };
    let known = table.iter().find(|entry| entry.0 == word);
    let sentence = match known {
        Some((_, sentence)) => (*sentence).to_owned(),
        None => format!("is called `{}`", elsewhere(word)?),
    };
    Some(format!("`{path} {word}` {sentence}"))
}

/// A command of that name, wherever it is.
fn elsewhere(word: &str) -> Option<String> {
    let all = Cli::command();
    if all.find_subcommand(word).is_some() {
        return Some(format!("taskq {word}"));
    }
    let mut groups = all.get_subcommands();
    let group = groups.find(|group| group.find_subcommand(word).is_some())?;
    Some(format!("taskq {} {word}", group.get_name()))
}
