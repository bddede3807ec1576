//! A worker's settings, by the names of their flags.

use serde_json::{Value, json};

use crate::config::Config;

/// What it was started with, defaults included; times in seconds, memory in bytes, the password not shown.
pub(crate) fn of(config: &Config) -> Value {
    let queues: Vec<_> = config.queues.iter().map(ToString::to_string).collect();
    json!({
        "broker": config.source.shown(),
        "concurrency": config.slots,
        "grace": config.grace.as_secs_f64(),
        "health-addr": config.health,
        "hostname": &*config.node,
        "lease": config.lease.as_secs_f64(),
        "max-memory": config.enough.max_memory,
        "max-tasks": config.enough.max_tasks,
        "queues": queues,
        "soft-time-limit": config.limits.soft.map(|limit| limit.as_secs_f64()),
        "time-limit": config.limits.hard.map(|limit| limit.as_secs_f64()),
    })
}
