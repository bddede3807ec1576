//! `taskq inspect active_queues`: the queues that each worker takes from.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::ActiveQueue;

use super::{nodes, understood};
use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let mut table = Table::new(&["WORKER", "QUEUE", "WEIGHT", "PAUSED"]);
    let (answers, exit) = understood::<Vec<ActiveQueue>>(replies, console);
    for (node, queues) in answers {
        for queue in queues {
            let paused = if queue.paused { "yes" } else { "no" };
            let weight = queue.weight.to_string();
            table.row([node.to_owned(), queue.name, weight, paused.to_owned()]);
        }
    }
    if table.is_empty() && exit == Exit::Done {
        console.notice(&format!("{} take from no queue", nodes(replies)));
    }
    console.table(&table);
    exit
}
