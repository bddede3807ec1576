//! The report: all that a bug report needs, as text.

use std::time::Duration;

use serde_json::{Value, json};

use super::Responder;
use crate::deadline::within;

/// How long the broker has to tell what it is.
const SERVER: Duration = Duration::from_secs(2);

pub(super) async fn report(responder: &Responder) -> Value {
    let about = &responder.about;
    let settings = about.conf();
    let mut lines = vec![format!(
        "taskq {}, worker {}, pid {}",
        env!("CARGO_PKG_VERSION"),
        responder.node,
        std::process::id()
    )];
    // Files of the system may be long: this thread has claims and verdicts to carry.
    let system = tokio::task::spawn_blocking(system).await;
    lines.extend(system.map(|system| format!("system: {system}")));
    lines.extend(broker(responder).await);
    lines.push("settings:".to_owned());
    lines.extend(
        settings
            .into_iter()
            .map(|(name, value)| format!("  {name} = {value}")),
    );
    lines.push(format!("tasks: {}", about.registered.join(", ")));
    json!({"ok": lines.join("\n")})
}

/// What the broker is, and what its operator should change.
async fn broker(responder: &Responder) -> Vec<String> {
    match within(SERVER, "server", responder.backend.server()).await {
        Ok(server) => {
            let ms = server.round_trip.as_secs_f64() * 1e3;
            let (name, version) = (server.name, server.version);
            let warnings = server.warnings.into_iter();
            let warnings = warnings.map(|warning| format!("  warning: {warning}"));
            [format!("broker: {name} {version}, answers in {ms:.2} ms")]
                .into_iter()
                .chain(warnings)
                .collect()
        }
        Err(error) => vec![format!("broker: not known ({error})")],
    }
}

/// The operating system and the processors; what the system does not tell is left out.
fn system() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let first = |path: &str| Some(read(path)?.lines().next()?.trim().to_owned());
    let distribution = read("/etc/os-release").and_then(|text| value(&text, "PRETTY_NAME", '='));
    let kernel = first("/proc/sys/kernel/osrelease");
    let processor = read("/proc/cpuinfo").and_then(|text| value(&text, "model name", ':'));
    let usable = std::thread::available_parallelism().ok();
    let mut facts = vec![format!(
        "{} {}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )];
    facts.extend(kernel.map(|kernel| format!("kernel {kernel}")));
    facts.extend(distribution);
    facts.extend(usable.map(|n| format!("{n} processors usable")));
    facts.extend(processor);
    facts.join(", ")
}

/// What a file of `name<sign>value` lines says of `name`.
fn value(text: &str, name: &str, sign: char) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(sign)?;
        (key.trim() == name).then_some(value)
    })?;
    Some(value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_of_the_system_say_is_read() {
        let release = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
        assert_eq!(
            value(release, "PRETTY_NAME", '=').as_deref(),
            Some("Debian GNU/Linux 12")
        );
        let cpus = "processor\t: 0\nmodel name\t: Quick 3 GHz\n";
        assert_eq!(
            value(cpus, "model name", ':').as_deref(),
            Some("Quick 3 GHz")
        );
        assert_eq!(value("", "NAME", '='), None);
        let system = system();
        assert!(system.starts_with(std::env::consts::OS), "{system}");
    }
}
