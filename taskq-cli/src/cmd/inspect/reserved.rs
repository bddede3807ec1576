//! `taskq inspect reserved`: what each worker has claimed and not started.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::ReservedTask;

use super::{nodes, understood};
use crate::console::Console;
use crate::exit::Exit;
use crate::quantity::rfc3339;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let mut table = Table::new(&["WORKER", "TASK", "ID", "QUEUE", "PRIORITY", "CLAIMED"]);
    let (answers, exit) = understood::<Vec<ReservedTask>>(replies, console);
    for (node, tasks) in answers {
        for task in tasks {
            table.row([
                node.to_owned(),
                known(task.name),
                known(task.id.unwrap_or_default()),
                task.queue,
                task.priority.to_string(),
                rfc3339((task.time_claimed * 1e3) as u64).unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    if table.is_empty() && exit == Exit::Done {
        console.notice(&format!("nothing is reserved on {}", nodes(replies)));
    }
    console.table(&table);
    exit
}

/// A message that can not be read has no name.
fn known(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}
