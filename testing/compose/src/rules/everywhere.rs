//! What holds for each service.

use std::time::Duration;

use super::broken;
use crate::document::{HealthCheck, Service};

pub(super) fn faults(service: &Service) -> Vec<String> {
    let tag = service.image.rsplit_once(':').map(|(_, tag)| tag);
    let user = service.user.as_deref().unwrap_or("root");
    let user = user.split(':').next().unwrap_or_default();
    let log = service.logging.as_ref();
    let bound = |name| log.is_some_and(|l| l.options.contains_key(name));
    let ports_at_home = service.ports.iter().all(|p| p.starts_with("127.0.0.1:"));
    let mut faults = broken([
        (
            tag.is_some_and(|t| t != "latest"),
            "its image has no version",
        ),
        (
            !["", "0", "root"].contains(&user),
            "it runs as root: set user",
        ),
        (
            service.read_only,
            "its root file system can be written to: set read_only",
        ),
        (
            service.tmpfs.contains(&"/tmp".into()),
            "it has no tmpfs at /tmp",
        ),
        (
            service.cap_drop == ["ALL"],
            "it keeps capabilities: set cap_drop",
        ),
        (
            service
                .security_opt
                .contains(&"no-new-privileges:true".into()),
            "it may gain rights: set no-new-privileges",
        ),
        (
            service.restart.as_deref() == Some("unless-stopped"),
            "nobody starts it again: set restart",
        ),
        (
            bound("max-size") && bound("max-file"),
            "its log has no bound",
        ),
        (!service.volumes.is_empty(), "it has no volume"),
        (
            service.stop_grace_period.is_some(),
            "nobody says how long it may take to stop: set stop_grace_period",
        ),
        (ports_at_home, "a port is published beyond 127.0.0.1"),
    ]);
    match &service.healthcheck {
        Some(check) => faults.extend(of_check(check)),
        None => faults.push("it has no healthcheck".into()),
    }
    let unhealthy = service.depends_on.iter();
    let unhealthy = unhealthy.filter(|(_, on)| on.condition != "service_healthy");
    faults.extend(unhealthy.map(|(name, _)| format!("it does not wait until {name} is healthy")));
    faults
}

fn of_check(check: &HealthCheck) -> Vec<String> {
    let form = check.test.first().map(String::as_str);
    let long = Duration::from_secs(30);
    broken([
        (
            matches!(form, Some("CMD" | "CMD-SHELL")) && check.test.len() > 1,
            "its healthcheck has no command",
        ),
        (
            check.interval.0 <= long && check.timeout.0 <= long,
            "its healthcheck takes more than 30 s to see anything",
        ),
        (check.retries >= 2, "its healthcheck gives up at once"),
        (
            check.start_period.0 >= Duration::from_secs(10),
            "its healthcheck gives it no time to start",
        ),
    ])
}
