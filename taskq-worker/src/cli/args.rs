//! The flags of a worker's command line.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};
use taskq_core::QueueName;
use taskq_core::broker::Served;

use crate::config::WEIGHTS;

/// Takes tasks from queues and runs them.
#[derive(Debug, Clone, Parser)]
// Of a flag that is given twice the last counts, as with Celery: a wrapper's defaults come first.
#[command(
    name = "worker",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub(crate) struct Args {
    /// Queues to take from, separated by commas; with weights, a=3,b=1 shares the slots 3 to 1 while both have messages [default: celery]
    #[arg(
        short = 'Q',
        long,
        env = "TASKQ_QUEUES",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = served
    )]
    pub(crate) queues: Vec<Served>,

    /// Serve the queues in the order of -Q: one gets a slot only while those before it have nothing
    #[arg(
        long,
        env = "TASKQ_STRICT",
        hide_env_values = true,
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) strict: bool,

    /// Queues to leave out: of those of -Q, else of all that the tasks of this program use
    #[arg(
        short = 'X',
        long,
        env = "TASKQ_EXCLUDE_QUEUES",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "QUEUES"
    )]
    pub(crate) exclude_queues: Vec<QueueName>,

    /// How many tasks run at once [default: 10 for each processor]
    #[arg(
        short,
        long,
        env = "TASKQ_CONCURRENCY",
        hide_env_values = true,
        value_name = "N"
    )]
    pub(crate) concurrency: Option<usize>,

    /// The node name; %h is the machine's name, %n that without its domain, %d its domain [default: worker-<pid>@%h]
    #[arg(
        short = 'n',
        long,
        env = "TASKQ_HOSTNAME",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub(crate) hostname: Option<String>,

    #[arg(
        help = "What is logged: debug, info, warning, error or critical, or directives such as info,my_crate=debug",
        short,
        long,
        env = "TASKQ_LOGLEVEL",
        hide_env_values = true,
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub(crate) loglevel: String,

    /// How long running tasks may go on after the first SIGTERM or Ctrl-C, and those that were cut off: 90, 1.5, 2m, 500ms
    #[arg(long, env = "TASKQ_GRACE", hide_env_values = true, default_value = "25", value_parser = duration, value_name = "TIME")]
    pub(crate) grace: Duration,

    /// A run that takes longer is cut off and counts as failed, unless its message or task says otherwise [default: none]
    #[arg(long, env = "TASKQ_TIME_LIMIT", hide_env_values = true, value_parser = duration, value_name = "TIME")]
    pub(crate) time_limit: Option<Duration>,

    /// A run that takes longer is told to end, unless its message or task says otherwise [default: none]
    #[arg(long, env = "TASKQ_SOFT_TIME_LIMIT", hide_env_values = true, value_parser = duration, value_name = "TIME")]
    pub(crate) soft_time_limit: Option<Duration>,

    /// How long other workers wait for this one's heartbeat before they take its tasks over
    #[arg(long, env = "TASKQ_LEASE", hide_env_values = true, default_value = "10", value_parser = duration, value_name = "TIME")]
    pub(crate) lease: Duration,

    /// Stop, warm, after so many runs have ended: exit status 0, for a supervisor to start it again [default: no limit]
    #[arg(
        long,
        env = "TASKQ_MAX_TASKS",
        hide_env_values = true,
        value_name = "N"
    )]
    pub(crate) max_tasks: Option<u64>,

    /// Stop, warm, when the process has more than that in memory, such as 512MB or 1.5GiB: as --max-tasks [default: no limit]
    #[arg(long, env = "TASKQ_MAX_MEMORY", hide_env_values = true, value_parser = super::size::bytes, value_name = "SIZE")]
    pub(crate) max_memory: Option<u64>,

    /// Answer over HTTP at HOST:PORT: /live, /ready and /metrics; port 0 takes a free one, which is logged [default: nowhere]
    #[arg(long, env = "TASKQ_HEALTH_ADDR", hide_env_values = true, value_parser = host_and_port, value_name = "HOST:PORT")]
    pub(crate) health_addr: Option<String>,

    /// The broker [default: a file of this user's: taskq/taskq.db in $XDG_DATA_HOME, else in ~/.local/share]
    #[arg(
        short,
        long,
        env = "TASKQ_BROKER_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) broker: Option<String>,

    /// The form of the log on stderr: for people, or one JSON object a line
    #[arg(
        long,
        env = "TASKQ_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

/// The form of the log: for people, or one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// An address to listen at.
fn host_and_port(text: &str) -> Result<String, String> {
    let wrong =
        || format!("{text:?} is no HOST:PORT: write 127.0.0.1:8081, 0.0.0.0:8081 or [::]:8081");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    port.parse::<u16>().map_err(|_| wrong())?;
    if host.is_empty() || (host.contains(':') && !host.starts_with('[')) {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

/// A queue, and its weight if it has one: `a`, `a=3`.
fn served(text: &str) -> Result<Served, String> {
    let (name, weight) = match text.split_once('=') {
        Some((name, weight)) => (name, Some(weight)),
        None => (text, None),
    };
    let queue: QueueName = name.parse().map_err(|e: taskq_core::Error| e.to_string())?;
    let Some(weight) = weight else {
        return Ok(queue.into());
    };
    match weight.parse() {
        Ok(weight) if WEIGHTS.contains(&weight) => Ok(Served { queue, weight }),
        _ => Err(format!(
            "{weight:?} is no weight of the queue {queue}: it is a number from {} to {}",
            WEIGHTS.start(),
            WEIGHTS.end()
        )),
    }
}

/// Seconds, or a number with its unit: `90`, `1.5`, `2m`, `500ms`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no time: write seconds (90, 1.5) or a unit (500ms, 2m, 1h)");
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim_end().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn of_a_flag_given_twice_the_last_counts_and_queues_add_up() {
        let line = "worker -l info -c 1 -n a --grace 1 --lease 1 -b memory://a --log-format text -Q a -X x \
                    -l debug -c 2 -n b --grace 2 --lease 2 -b memory://b --log-format json -Q b -X y";
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        assert_eq!(args.loglevel, "debug");
        assert_eq!(args.concurrency, Some(2));
        assert_eq!(args.hostname.as_deref(), Some("b"));
        let two = Duration::from_secs(2);
        assert_eq!((args.grace, args.lease), (two, two));
        assert_eq!(
            (args.broker.as_deref(), args.log_format),
            (Some("memory://b"), LogFormat::Json)
        );
        let names = |all: &[QueueName]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let served: Vec<_> = args.queues.iter().map(|s| s.queue.clone()).collect();
        assert_eq!(names(&served), ["a", "b"]);
        assert_eq!(names(&args.exclude_queues), ["x", "y"]);
    }

    #[test]
    fn each_flag_has_a_variable() {
        for flag in Args::command().get_arguments() {
            let name = flag.get_id().as_str().to_uppercase();
            let expected = match &*name {
                "BROKER" => "TASKQ_BROKER_URL".to_owned(),
                _ => format!("TASKQ_{name}"),
            };
            let variable = flag.get_env().and_then(|v| v.to_str());
            assert_eq!(variable, Some(&*expected), "--{name}");
        }
    }

    #[test]
    fn a_queue_may_carry_its_weight() {
        let args = Args::try_parse_from(["worker", "-Q", "a=3,b", "-Q", "c.d=1000"]).unwrap();
        let weights: Vec<_> = args
            .queues
            .iter()
            .map(|s| (s.queue.as_str(), s.weight))
            .collect();
        assert_eq!(weights, [("a", 3), ("b", 1), ("c.d", 1000)]);
        for weight in ["0", "1001", "-1", "many", "", "1.5", "2=2", "99999999999"] {
            let error = served(&format!("a={weight}")).unwrap_err();
            let sentence = "is no weight of the queue a: it is a number from 1 to 1000";
            assert!(error.ends_with(sentence), "{error}");
        }
        assert!(served("=3").is_err());
    }

    #[test]
    fn the_order_is_strict_if_it_is_said() {
        let strict = |line: &str| {
            let args = Args::try_parse_from(line.split_whitespace());
            args.unwrap().strict
        };
        assert!(!strict("worker -Q a,b"));
        assert!(strict("worker -Q a,b --strict"));
    }

    #[test]
    fn times_are_seconds_or_carry_a_unit() {
        for (text, ms) in [
            ("90", 90_000),
            ("1.5", 1_500),
            ("2m", 120_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("3s", 3_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "-1", "2 weeks", "m", "nan", "inf", "1e400", "1.5x"] {
            assert!(duration(text).unwrap_err().contains("is no time"), "{text}");
        }
    }
}
