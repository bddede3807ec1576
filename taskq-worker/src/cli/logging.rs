//! The log of a worker's command line: on stderr, filtered as asked.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::LogFormat;

/// Installs the log. False: the program had installed one of its own before, which stays.
pub(super) fn install(filter: EnvFilter, format: LogFormat) -> bool {
    // With nobody behind stderr there is nobody to tell of it, and a worker must not end by its log.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_span_list(false))
            .try_init(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(layer.with_ansi(colours)).try_init()
        }
    }
    .is_ok()
}

/// The filter that `text` asks for: one level, or directives of the `tracing` kind, or both, separated by commas.
pub(super) fn filter(text: &str) -> Result<EnvFilter, String> {
    let mut directives = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (target, word) = match part.rsplit_once('=') {
            Some((target, word)) => (Some(target), word),
            None => (None, part),
        };
        let level = level(word).ok_or_else(|| {
            format!(
                "{word:?} is no log level: use debug, info, warning, error or critical, \
                 or directives such as info,my_crate=debug"
            )
        })?;
        directives.push(match target {
            Some(target) => format!("{target}={level}"),
            None => level.to_owned(),
        });
    }
    if directives.is_empty() {
        return Err("the log level is empty: use debug, info, warning, error or critical".into());
    }
    EnvFilter::builder()
        .parse(directives.join(","))
        .map_err(|e| format!("{text:?} is no log level: {e}"))
}

/// Celery's names and tracing's, in any case.
fn level(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "off" => "off",
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "critical" | "fatal" => "error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn levels_have_the_names_of_celery_and_of_tracing() {
        for (text, meant) in [
            ("INFO", "info"),
            ("Warning", "warn"),
            ("critical", "error"),
            ("FATAL", "error"),
            ("trace", "trace"),
            ("info,taskq_worker=DEBUG", "taskq_worker=debug,info"),
            ("warning, a::b=critical", "a::b=error,warn"),
        ] {
            assert_eq!(filter(text).unwrap().to_string(), meant, "{text}");
        }
        for text in ["", ",", "inof", "taskq_worker=loud", "taskq_worker"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }
}
