//! `taskq inspect query_task ID…`: which worker has these calls, and whether they run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use taskq_core::TaskId;

use super::understood;
use crate::console::Console;
use crate::exit::Exit;
use crate::table::Table;

pub(super) fn show(
    ids: &[TaskId],
    replies: &BTreeMap<String, Value>,
    console: &mut Console<'_>,
) -> Exit {
    let mut table = Table::new(&["WORKER", "ID", "STATE", "TASK", "QUEUE"]);
    let (answers, exit) = understood::<BTreeMap<String, (String, Value)>>(replies, console);
    let mut missing: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    for (node, held) in answers {
        for (id, (state, task)) in held {
            missing.remove(&id);
            let field = |name: &str| task[name].as_str().unwrap_or("-").to_owned();
            table.row([node.to_owned(), id, state, field("name"), field("queue")]);
        }
    }
    console.table(&table);
    if !missing.is_empty() && exit == Exit::Done {
        let missing: Vec<_> = missing.into_iter().collect();
        let missing = missing.join(", ");
        console.notice(&format!(
            "no worker that answered holds {missing}; `taskq result` tells what is stored of a call"
        ));
    }
    exit
}
