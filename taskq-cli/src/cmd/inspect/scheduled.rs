//! `taskq inspect scheduled`: what is due next in the queues of each worker.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::ScheduledTask;

use super::{arguments, nodes, understood};
use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let titles = [
        "WORKER", "DUE", "TASK", "ID", "ARGS", "QUEUE", "PRIORITY", "RETRIES",
    ];
    let mut table = Table::new(&titles);
    let (answers, exit) = understood::<Vec<ScheduledTask>>(replies, console);
    for (node, tasks) in answers {
        for task in tasks {
            let request = task.request;
            table.row([
                node.to_owned(),
                task.eta,
                request.name,
                request.id,
                arguments(&request.args, &request.kwargs),
                request.queue,
                task.priority.to_string(),
                request.retries.to_string(),
            ]);
        }
    }
    if table.is_empty() && exit == Exit::Done {
        let nodes = nodes(replies);
        console.notice(&format!("nothing is scheduled in the queues of {nodes}"));
    }
    console.table(&table);
    exit
}
