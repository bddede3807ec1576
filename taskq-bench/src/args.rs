//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::tally::MOST;

/// Measures taskq against what the same Redis, or bare SQLite, can do on this machine.
///
/// It starts a Redis of its own, or makes a file in the folder for temporary files (TMPDIR), measures its limit in the
/// same minutes, and prints each figure with its ratio and its bar. A figure that misses its bar is marked; the exit status is 0 once all was measured.
#[derive(Debug, Parser)]
#[command(name = "taskq-bench", version, max_term_width = 100)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum What {
    /// What Redis itself can do: LPUSH + LMOVE + LREM in pipelines, and a paced LPUSH; or bare SQLite
    Limit(Options),
    /// How fast a worker works off no-op tasks that wait for it
    Drain(Options),
    /// How soon an idle worker begins a task, one each 5 ms
    Latency(Options),
    /// How many calls 64 concurrent senders get accepted
    Send(Options),
    /// All of it
    All(Options),
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,

    /// How often everything is measured, in turn; medians count
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) runs: u32,

    /// Tasks of one drain; a run of send takes two thirds, one of latency a 300th of it, at least 50
    #[arg(long, default_value_t = 300_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=i64::from(MOST)))]
    pub(crate) tasks: u32,

    /// What holds the tasks
    #[arg(long, default_value = "redis", value_name = "BROKER")]
    pub(crate) broker: Kind,

    /// With --broker sqlite: what each commit waits for; full is the disk
    #[arg(long, default_value = "normal", value_name = "SYNC")]
    pub(crate) sync: Sync,

    /// A worker that moves nothing for so many seconds is killed and told of
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    patience: u32,
}

/// What holds the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A private Redis
    Redis,
    /// The embedded broker, in a file of its own
    Sqlite,
}

/// What a commit to a file waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sync {
    /// The system has it: it survives the death of every process
    Normal,
    /// The disk has it: it survives the loss of power
    Full,
}

impl Sync {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

impl What {
    /// What was said beside it.
    pub(crate) fn options(self) -> Options {
        match self {
            Self::Limit(options)
            | Self::Drain(options)
            | Self::Latency(options)
            | Self::Send(options)
            | Self::All(options) => options,
        }
    }

    /// Whether the rows of `part` are measured.
    pub(crate) fn includes(self, part: fn(Options) -> Self) -> bool {
        let same = std::mem::discriminant(&self) == std::mem::discriminant(&part(self.options()));
        same || matches!(self, Self::All(_))
    }
}

impl Options {
    pub(crate) fn patience(self) -> Duration {
        Duration::from_secs(self.patience.into())
    }

    /// Sends of one run.
    pub(crate) fn sends(self) -> u32 {
        (self.tasks / 3 * 2).max(50)
    }

    /// Probes of one latency run.
    pub(crate) fn probes(self) -> u32 {
        (self.tasks / 300).max(50)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn all_includes_every_part_and_a_part_itself_alone() {
        let options = Options {
            json: false,
            runs: 1,
            tasks: 100,
            broker: Kind::Redis,
            sync: Sync::Normal,
            patience: 1,
        };
        let parts = [What::Limit, What::Drain, What::Latency, What::Send];
        assert!(parts.iter().all(|&part| What::All(options).includes(part)));
        for part in parts {
            let included = parts.iter().filter(|&&p| part(options).includes(p));
            assert_eq!(included.count(), 1);
        }
    }
}
