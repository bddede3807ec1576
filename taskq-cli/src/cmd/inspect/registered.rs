//! `taskq inspect registered`: the tasks that each worker offers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::understood;
use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let (answers, exit) = understood::<Vec<String>>(replies, console);
    let mut table = Table::new(&["WORKER", "TASK"]);
    for (node, tasks) in answers {
        for task in tasks {
            table.row([node.to_owned(), task]);
        }
    }
    console.table(&table);
    exit
}
