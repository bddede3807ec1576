//! `taskq inspect active`: the tasks that run right now, the longest first for each worker.

use std::collections::BTreeMap;

use serde_json::Value;
use taskq_core::control::ActiveTask;

use super::{arguments, nodes, understood};
use crate::console::Console;
use crate::exit::Exit;
use crate::quantity::span;
use crate::record_view::far;
use crate::table::Table;

pub(super) fn show(replies: &BTreeMap<String, Value>, console: &mut Console<'_>) -> Exit {
    let (answers, exit) = understood::<Vec<ActiveTask>>(replies, console);
    let mut titles = vec!["WORKER", "TASK", "ID", "ARGS", "QUEUE", "ATTEMPT", "FOR"];
    let tells = |tasks: &Vec<ActiveTask>| tasks.iter().any(|t| t.progress.is_some());
    // Most tasks do not tell it.
    let told = answers.iter().any(|(_, tasks)| tells(tasks));
    titles.extend(told.then_some("PROGRESS"));
    let mut table = Table::new(&titles);
    let mut running = 0;
    for (node, mut tasks) in answers {
        tasks.sort_by(|a, b| b.runtime_s.total_cmp(&a.runtime_s));
        running += tasks.len();
        for task in tasks {
            let args = arguments(&task.args, &task.kwargs);
            let progress = task.progress.as_ref().map(far);
            let cells = [
                node.to_owned(),
                task.name,
                task.id,
                args,
                task.queue,
                task.attempt.to_string(),
                span(task.runtime_s),
            ];
            table.row(cells.into_iter().chain(progress));
        }
    }
    if running > 0 {
        console.table(&table);
    } else if exit == Exit::Done {
        console.notice(&format!("nothing runs on {}", nodes(replies)));
    }
    exit
}
