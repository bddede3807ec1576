//! `taskq inspect revoked`: what is revoked at the queues of each worker.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{nodes, understood};
use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let mut table = Table::new(&["WORKER", "REVOKED"]);
    let (answers, exit) = understood::<Vec<String>>(replies, console);
    for (node, revoked) in answers {
        for what in revoked {
            table.row([node.to_owned(), what]);
        }
    }
    if table.is_empty() && exit == Exit::Done {
        let nodes = nodes(replies);
        console.notice(&format!("nothing is revoked at the queues of {nodes}"));
    }
    console.table(&table);
    exit
}
