//! What the workers are told, so that there may be several and each stops in order.

use std::time::Duration;

use super::{broken, option};
use crate::document::Service;

/// What a worker needs beside its grace: to give back what has not ended, and to say goodbye.
const AFTER_GRACE: Duration = Duration::from_secs(5);

pub(super) fn faults(service: &Service) -> Vec<String> {
    let told = |name| option(&service.command, name);
    let grace = told("--grace").and_then(|seconds| seconds.parse().ok());
    let grace = grace.map(Duration::from_secs);
    let stop = service.stop_grace_period.map(|span| span.0);
    let enough = grace.zip(stop).is_some_and(|(g, s)| s > g + AFTER_GRACE);
    let queues: Vec<&str> = told("-Q").unwrap_or_default().split(',').collect();
    let node = told("--hostname").unwrap_or_default();
    // The engine gives a container's name to the kernel, where %h finds it, and to its variable HOSTNAME.
    let asked = format!(
        "taskq inspect ping -d \"{}\"",
        node.replace("%h", "$HOSTNAME")
    );
    let check = service
        .healthcheck
        .as_ref()
        .map(|check| check.test.join(" "));
    broken([
        (
            ["celery", "logistica", "monitor"]
                .iter()
                .all(|q| queues.contains(q)),
            "it does not take from the queues celery, logistica and monitor",
        ),
        (
            node.contains("%h"),
            "several of them have one name: give --hostname a %h",
        ),
        (
            check.is_some_and(|c| c.starts_with("CMD-SHELL") && c.contains(&asked)),
            "its healthcheck does not ask for its own --hostname",
        ),
        (enough, "stop_grace_period leaves it no time after --grace"),
        (
            service.ports.is_empty(),
            "a port stands in the way of --scale",
        ),
        (told("--concurrency").is_some(), "its slots can not be set"),
        (told("--loglevel").is_some(), "its log can not be set"),
    ])
}
