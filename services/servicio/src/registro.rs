//! The service's log.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// How severe a message must be to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Nivel {
    /// Everything.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What may need attention.
    #[value(alias = "warn")]
    Warning,
    /// What failed.
    #[value(alias = "critical")]
    Error,
}

impl From<Nivel> for LevelFilter {
    fn from(nivel: Nivel) -> Self {
        match nivel {
            Nivel::Trace => Self::TRACE,
            Nivel::Debug => Self::DEBUG,
            Nivel::Info => Self::INFO,
            Nivel::Warning => Self::WARN,
            Nivel::Error => Self::ERROR,
        }
    }
}

/// Says on stderr why the service ends, for its main. With nobody behind it there is nobody to tell, and the exit status stays.
pub fn decir_error(error: &dyn Display) {
    drop(writeln!(io::stderr(), "error: {error}"));
}

/// Starts logging to stderr, for a service's main.
///
/// If the program has set a subscriber already, that one stays.
pub fn iniciar_registro(nivel: Nivel) {
    let puesto = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_max_level(LevelFilter::from(nivel))
        // With nobody behind stderr there is nobody to tell.
        .log_internal_errors(false)
        .try_init();
    if let Err(error) = puesto {
        tracing::debug!(%error, "the log was set up before");
    }
}
