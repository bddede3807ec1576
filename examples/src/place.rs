//! Where a lesson runs.

use clap::Parser;

/// The broker of a lesson that is not told of another one: it lives in the lesson's own process.
pub const DEFAULT_BROKER: &str = "memory://";

/// The command line of a lesson.
#[derive(Debug, Clone, Parser)]
#[command(version, about = "One lesson of taskq: it prints what happens")]
pub struct Place {
    /// The broker [default: the lesson's own]
    #[arg(
        short,
        long,
        env = "TASKQ_BROKER_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub broker: Option<String>,
}

impl Place {
    /// Reads it from the command line and the environment; what can not be read ends the process with status 2.
    #[must_use]
    pub fn read() -> Self {
        Self::parse()
    }

    /// The URL, for a lesson in one process.
    #[must_use]
    pub fn url(&self) -> &str {
        self.broker.as_deref().unwrap_or(DEFAULT_BROKER)
    }
}
