//! `taskq result ID`: what is stored of a call, or what becomes of it.

use std::time::Duration;

use serde_json::Value;
use taskq_client::WaitError;
use taskq_core::State;
use tokio::time::Instant;

use crate::args::ResultOf;
use crate::console::{Console, Stream, coming};
use crate::exit::{Exit, Stop};
use crate::follow::{Show, follow};
use crate::reach::Reach;
use crate::record_view::RecordView;

pub(crate) async fn run(
    result: ResultOf,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let ResultOf {
        id,
        queue,
        follow: to_the_end,
        timeout,
    } = result;
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
                "{id} has no record{place} at {}: it is unknown, or it has expired (or its task keeps no results)",
                reach.address()
            ),
        ));
    };
    if !to_the_end {
        show(&RecordView::of(&record), json, console);
        return Ok(Exit::Done);
    }
    let changes = match (json, console.is_terminal(Stream::Out)) {
        (true, _) => Show::Json,
        (false, true) => Show::Redrawn(Stream::Out),
        (false, false) => Show::Lines,
    };
    let left = coming(console.take_reader_left());
    let most = timeout.unwrap_or(Duration::MAX);
    let ended = tokio::select! {
        biased;
        ended = follow(&handle, most, Instant::now(), changes, console) => ended,
        () = left => return Ok(Exit::Done),
    };
    match ended {
        Ok(record) => {
            show(&RecordView::of(&record), json, console);
            Ok(match record.state {
                State::Success => Exit::Done,
                _ => Exit::Failed,
            })
        }
        Err(timed_out @ WaitError::TimedOut { .. }) => {
            Err(Stop::new(Exit::TimedOut, timed_out.to_string()))
        }
        Err(WaitError::Broker(error)) => Err(error.into()),
        Err(other) => Err(Stop::new(Exit::Failed, other.to_string())),
    }
}

fn show(view: &RecordView<'_>, json: bool, console: &mut Console<'_>) {
    if json {
        console.json(view);
    } else {
        console.print(&view.lines(console.look()));
    }
}
