//! `taskq inspect stats`: what each worker has done and used since it started.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::{BrokerAddress, Stats};

use super::understood;
use crate::console::Console;
use crate::exit::Exit;
use crate::quantity::span;
use crate::table::Table;

const TITLES: [&str; 11] = [
    "WORKER",
    "PID",
    "UP",
    "SLOTS",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "RETRIED",
    "CPU",
    "MEMORY",
    "BROKER",
];

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let (answers, exit) = understood::<Stats>(replies, console);
    let mut workers = Table::new(&TITLES);
    let mut tasks = Table::new(&["WORKER", "TASK", "RUNS"]);
    for (node, stats) in answers {
        let used = stats.rusage;
        workers.row([
            node.to_owned(),
            stats.pid.to_string(),
            span(stats.uptime as f64),
            stats.pool.max_concurrency.to_string(),
            stats.pool.running.to_string(),
            stats.succeeded.to_string(),
            stats.failed.to_string(),
            stats.retried.to_string(),
            used.map_or_else(unknown, |used| span(used.utime + used.stime)),
            used.map_or_else(unknown, |used| {
                format!("{} MiB", used.maxrss.div_ceil(1024))
            }),
            place(&stats.broker),
        ]);
        for (task, runs) in stats.total {
            tasks.row([node.to_owned(), task, runs.to_string()]);
        }
    }
    console.table(&workers);
    if !workers.is_empty() && !tasks.is_empty() {
        console.print("\n");
    }
    console.table(&tasks);
    exit
}

fn unknown() -> String {
    "-".to_owned()
}

/// As much of a URL as is known.
fn place(broker: &BrokerAddress) -> String {
    let Some(transport) = &broker.transport else {
        return unknown();
    };
    let mut url = format!("{transport}://");
    url.push_str(broker.hostname.as_deref().unwrap_or_default());
    if let Some(port) = broker.port {
        url.push_str(&format!(":{port}"));
    }
    if let Some(database) = &broker.virtual_host {
        url.push_str(&format!("/{database}"));
    }
    url
}
