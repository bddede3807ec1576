//! The flags of `celery worker` that this command line does not have: known, and answered.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// A flag of Celery's.
struct Flag {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    answer: Answer,
}

enum Answer {
    /// It asks for what is so anyway: said, and passed over.
    Passes(&'static str),
    /// What takes its place, or that it is not built yet.
    Refused(&'static str),
}

use Answer::{Passes, Refused};

const LINKED: &str = "tasks are linked into this program, by `use my_tasks as _;` in its main file; leave the flag out";
const NO_CHILDREN: &str = "there are no child processes: tasks run in this process, on its runtime and its threads; leave the flag out";
const SYSTEMD: &str =
    "leave this to systemd or to the container: the worker runs in the foreground";
const NO_SCHEDULE: &str = "periodic tasks are not built yet";

const FLAGS: &[Flag] = &[
    flag(
        "task-events",
        Some('E'),
        Passes("there is no switch for events, what there is of them needs none"),
    ),
    flag("without-gossip", None, Passes("workers do not gossip")),
    flag("without-mingle", None, Passes("workers do not mingle")),
    flag(
        "without-heartbeat",
        None,
        Passes("the heartbeat carries the lease and stays on"),
    ),
    with_value("app", Some('A'), Refused(LINKED)),
    with_value("include", Some('I'), Refused(LINKED)),
    with_value("loader", None, Refused(LINKED)),
    with_value(
        "config",
        None,
        Refused("settings are flags and TASKQ_* variables, see --help"),
    ),
    with_value(
        "result-backend",
        None,
        Refused("results are kept by the broker, see --broker"),
    ),
    with_value(
        "workdir",
        None,
        Refused("change the directory before the start"),
    ),
    flag("no-color", Some('C'), Refused("set NO_COLOR=1")),
    flag("quiet", Some('q'), Refused("use --loglevel error")),
    flag(
        "skip-checks",
        None,
        Refused("there are no checks to skip; leave the flag out"),
    ),
    flag("detach", Some('D'), Refused(SYSTEMD)),
    with_value("pidfile", None, Refused(SYSTEMD)),
    with_value("uid", None, Refused(SYSTEMD)),
    with_value("gid", None, Refused(SYSTEMD)),
    with_value("umask", None, Refused(SYSTEMD)),
    with_value("executable", None, Refused(SYSTEMD)),
    with_value(
        "logfile",
        Some('f'),
        Refused("the log goes to stderr: redirect it with 2>>FILE"),
    ),
    with_value(
        "statedb",
        Some('S'),
        Refused("a worker keeps no state of its own, the broker does; leave the flag out"),
    ),
    with_value(
        "optimization",
        Some('O'),
        Refused(
            "a message is claimed only when a slot is free, as with `fair`; leave the flag out",
        ),
    ),
    with_value(
        "prefetch-multiplier",
        None,
        Refused(
            "nothing is prefetched: a message is claimed only when a slot is free, see --concurrency",
        ),
    ),
    flag(
        "disable-prefetch",
        None,
        Refused("nothing is ever prefetched; leave the flag out"),
    ),
    with_value(
        "pool",
        Some('P'),
        Refused(
            "async functions run on the runtime, plain ones on threads: there is no pool to choose, see --concurrency",
        ),
    ),
    with_value("pool-start-method", None, Refused(NO_CHILDREN)),
    with_value(
        "max-tasks-per-child",
        None,
        Refused(
            "there are no child processes: --max-tasks N ends the worker itself, for its supervisor to start it again",
        ),
    ),
    with_value(
        "max-memory-per-child",
        None,
        Refused(
            "there are no child processes: --max-memory SIZE, with a unit (Celery's counts KiB), ends the worker itself, for its supervisor to start it again",
        ),
    ),
    with_value(
        "autoscale",
        None,
        Refused("autoscaling is not built yet: --concurrency is the upper bound"),
    ),
    flag(
        "purge",
        None,
        Refused("emptying queues at the start is not built yet"),
    ),
    flag(
        "discard",
        None,
        Refused("emptying queues at the start is not built yet"),
    ),
    with_value(
        "heartbeat-interval",
        None,
        Refused("the heartbeat is a fifth of the lease, see --lease"),
    ),
    flag("beat", Some('B'), Refused(NO_SCHEDULE)),
    with_value("schedule-filename", Some('s'), Refused(NO_SCHEDULE)),
    with_value("schedule", None, Refused(NO_SCHEDULE)),
    with_value("scheduler", None, Refused(NO_SCHEDULE)),
];

const WORD: &str = "celery-subcommand";

/// The same command, knowing Celery's flags, without a word in its help.
pub(super) fn known_to(command: Command) -> Command {
    let word = Arg::new(WORD).hide(true).num_args(0..);
    FLAGS.iter().fold(command.arg(word), |command, flag| {
        let arg = Arg::new(flag.long).long(flag.long).hide(true);
        let arg = match flag.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        let arg = if flag.takes_value {
            arg.action(ArgAction::Append).num_args(0..=1)
        } else {
            arg.action(ArgAction::Count)
        };
        command.arg(arg)
    })
}

/// What there is to say about the flags of Celery's that were given: notices, or why it does not start.
pub(super) fn answer(given: &ArgMatches) -> Result<Vec<String>, String> {
    if let Some(words) = given.get_many::<String>(WORD) {
        let words: Vec<&str> = words.map(String::as_str).collect();
        return Err(match words[..] {
            ["worker"] => "this program is the worker: leave the word `worker` out".to_owned(),
            _ => format!("nothing is known about {:?}, see --help", words.join(" ")),
        });
    }
    let mut notices = Vec::new();
    for flag in FLAGS {
        let is_given = if flag.takes_value {
            given.contains_id(flag.long)
        } else {
            given.get_count(flag.long) > 0
        };
        let name = match flag.short {
            Some(short) => format!("-{short}/--{}", flag.long),
            None => format!("--{}", flag.long),
        };
        match flag.answer {
            _ if !is_given => {}
            Passes(why) => notices.push(format!("{name} changes nothing: {why}")),
            Refused(why) => return Err(format!("{name} of Celery is not a flag here: {why}")),
        }
    }
    Ok(notices)
}

const fn flag(long: &'static str, short: Option<char>, answer: Answer) -> Flag {
    Flag {
        long,
        short,
        takes_value: false,
        answer,
    }
}

const fn with_value(long: &'static str, short: Option<char>, answer: Answer) -> Flag {
    Flag {
        takes_value: true,
        ..flag(long, short, answer)
    }
}
