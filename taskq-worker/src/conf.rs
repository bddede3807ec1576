//! A worker's settings, by the names of their flags: those that stay as they were given.

use serde_json::{Map, Value, json};

use crate::config::Config;

/// What it was started with, defaults included; times in seconds, memory in bytes, the password not shown.
pub(crate) fn of(config: &Config) -> Map<String, Value> {
    let settings = json!({
        "broker": config.source.shown(),
        "grace": config.grace.as_secs_f64(),
        "health-addr": config.health,
        "hostname": &*config.node,
        "lease": config.lease.as_secs_f64(),
        "max-memory": config.enough.max_memory,
        "max-tasks": config.enough.max_tasks,
        "soft-time-limit": config.limits.soft.map(|limit| limit.as_secs_f64()),
        "time-limit": config.limits.hard.map(|limit| limit.as_secs_f64()),
    });
    match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}
