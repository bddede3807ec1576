//! `taskq list`: the tasks that workers published within the last 7 days.

use serde::Serialize;
use taskq_client::{PublishedParam, PublishedTask};

use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;
use crate::table::Table;

pub(crate) async fn run(
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let tasks = reach.read(reach.client.tasks()).await?;
    if json {
        console.json(&tasks.iter().map(Listed::of).collect::<Vec<_>>());
    } else {
        console.table(&table(&tasks));
    }
    if tasks.is_empty() {
        let address = reach.address();
        console.notice(&format!("no worker has published a task at {address}"));
    }
    Ok(Exit::Done)
}

/// A task as `--json` has it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    queue: &'a str,
    params: &'a [PublishedParam],
    live: bool,
    max_retries: u32,
    ignore_result: bool,
    doc: &'a str,
}

impl<'a> Listed<'a> {
    fn of(task: &'a PublishedTask) -> Self {
        Self {
            name: &task.name,
            queue: task.queue.as_str(),
            params: &task.params,
            live: task.live,
            max_retries: task.max_retries,
            ignore_result: task.ignore_result,
            doc: &task.doc,
        }
    }
}

fn table(tasks: &[PublishedTask]) -> Table {
    let mut table = Table::new(&["TASK", "QUEUE", "PARAMETERS", "LIVE", "DESCRIPTION"]);
    for task in tasks {
        let params: Vec<String> = task.params.iter().map(param).collect();
        table.row([
            task.name.clone(),
            task.queue.to_string(),
            params.join(", "),
            if task.live { "yes" } else { "no" }.to_owned(),
            task.doc.lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    table
}

/// A parameter as a signature has it; `?` marks one that may be left out.
fn param(param: &PublishedParam) -> String {
    let mark = if param.required { "" } else { "?" };
    format!("{}{mark}: {}", param.name, param.kind)
}
