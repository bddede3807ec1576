//! `taskq inspect active`: the tasks that run right now, the longest first for each worker.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::ActiveTask;

use super::{arguments, nodes, understood};
use crate::console::Console;
use crate::exit::Exit;
use crate::quantity::span;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let titles = ["WORKER", "TASK", "ID", "ARGS", "QUEUE", "ATTEMPT", "FOR"];
    let mut table = Table::new(&titles);
    let (answers, exit) = understood::<Vec<ActiveTask>>(replies, console);
    let mut running = 0;
    for (node, mut tasks) in answers {
        tasks.sort_by(|a, b| b.runtime_s.total_cmp(&a.runtime_s));
        running += tasks.len();
        for task in tasks {
            let args = arguments(&task.args, &task.kwargs);
            table.row([
                node.to_owned(),
                task.name,
                task.id,
                args,
                task.queue,
                task.attempt.to_string(),
                span(task.runtime_s),
            ]);
        }
    }
    if running > 0 {
        console.table(&table);
    } else if exit == Exit::Done {
        console.notice(&format!("nothing runs on {}", nodes(replies)));
    }
    exit
}
