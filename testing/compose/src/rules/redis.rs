//! What Redis is told: what the guides demand of a broker that keeps what it accepted.

use super::{broken, option};
use crate::document::Service;

pub(super) fn faults(service: &Service) -> Vec<String> {
    let told = |name| option(&service.command, name);
    let one_of = |name, values: &[&str]| told(name).is_some_and(|v| values.contains(&v));
    let test = service
        .healthcheck
        .as_ref()
        .map(|check| check.test.as_slice());
    let asked = ["CMD", "redis-cli", "-e", "ping"].map(String::from);
    broken([
        (
            service.command.first().is_some_and(|c| c == "redis-server"),
            "its command is not redis-server",
        ),
        (
            told("--appendonly") == Some("yes"),
            "it keeps no append-only file",
        ),
        (
            one_of("--appendfsync", &["everysec", "always"]),
            "its append-only file is never synced",
        ),
        (
            told("--save") == Some(""),
            "it keeps dumps beside its append-only file",
        ),
        (
            told("--maxmemory").is_some_and(|m| m.ends_with("mb") || m.ends_with("gb")),
            "its memory has no bound",
        ),
        (
            told("--maxmemory-policy") == Some("noeviction"),
            "it throws messages away when memory is short",
        ),
        (
            service.mounts() == [("redis", "/data")],
            "what it keeps is on no volume",
        ),
        (
            test == Some(&asked),
            "its healthcheck is not redis-cli -e ping",
        ),
        (
            service.container_ports() == [6379],
            "it is not published on 127.0.0.1",
        ),
    ])
}
