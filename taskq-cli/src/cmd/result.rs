//! `taskq result ID`: what is stored of a call.

use serde_json::Value;

use crate::args::ResultOf;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;
use crate::record_view::RecordView;

pub(crate) async fn run(
    result: ResultOf,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let ResultOf { id, queue } = result;
    let client = &reach.client;
    let handle = match queue.clone() {
        Some(queue) => client.handle_in::<Value>(id, queue),
        None => client.handle::<Value>(id),
    };
    let Some(record) = reach.read(handle.record()).await? else {
        let place = queue.map_or_else(String::new, |q| format!(" in the queue {q}"));
        return Err(Stop::new(
            Exit::Failed,
            format!(
                "{id} has no record{place}: it is unknown, or it has expired (or its task keeps no results)"
            ),
        ));
    };
    let view = RecordView::of(&record);
    if json {
        console.json(&view);
    } else {
        console.print(&view.lines());
    }
    Ok(Exit::Done)
}
