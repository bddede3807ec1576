//! `taskq call NAME`: sends a call, and waits for its end if asked to.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_client::{SendOptions, TaskHandle, WaitError};
use taskq_core::State;
use tokio::time::Instant;

use super::check::check;
use super::names::{misspelt, unpublished};
use super::why::untaken;
use crate::args::Call;
use crate::console::{Console, Stream};
use crate::exit::{Exit, Stop};
use crate::follow::{Show, follow};
use crate::reach::Reach;
use crate::record_view::RecordView;

/// Who waits that long is told if nobody takes the call.
const MOMENT: Duration = Duration::from_secs(2);

pub(crate) async fn run(
    call: Call,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    if call.check {
        check(&call, reach).await?;
    }
    let strange = strange_queue(&call, reach).await?;
    let mut options = SendOptions::default();
    if let Some(queue) = &call.queue {
        options = options.queue(queue.as_str());
    }
    if let Some(delay) = call.countdown {
        options = options.countdown(delay);
    }
    if let Some(at) = call.eta {
        options = options.eta(at);
    }
    if let Some(priority) = call.priority {
        options = options.priority(priority);
    }
    if let Some(after) = call.expires {
        options = options.expires(after);
    }
    if let Some(id) = call.id {
        options = options.id(id);
    }
    let sending = reach
        .client
        .send_by_name(&call.task, &call.args, &call.kwargs, options);
    let handle = reach.send(sending).await?;
    let id = handle.id();
    if !call.wait {
        if json {
            console.json(&json!({"task_id": id}));
        } else {
            console.print(&format!("{id}\n"));
        }
        warn(&call, strange, reach, console).await;
        return Ok(Exit::Done);
    }
    // Told before the wait: who interrupts it can still ask for the result.
    console.notice(&format!("sent as {id}, waiting for its end"));
    warn(&call, strange, reach, console).await;
    let show = if console.is_terminal(Stream::Err) {
        Show::Redrawn(Stream::Err)
    } else {
        Show::Nothing
    };
    let began = Instant::now();
    let soon = call.timeout.min(MOMENT);
    let mut ended = follow(&handle, soon, began, show, console).await;
    if call.timeout > soon && matches!(ended, Err(WaitError::TimedOut { .. })) {
        if let Some(why) = nobody(&handle, &call.task, reach).await {
            console.notice(&format!("{why}; it waits on, `taskq why {id}` says more"));
        }
        let rest = call.timeout.saturating_sub(began.elapsed());
        ended = follow(&handle, rest, began, show, console).await;
    }
    if json && ended.is_err() {
        // Sent it is, whatever became of the wait.
        console.json(&json!({"task_id": id}));
    }
    match ended {
        Ok(record) => {
            let view = RecordView::of(&record);
            if json {
                console.json(&view);
            } else {
                console.print(&view.lines(console.look()));
            }
            Ok(match record.state {
                State::Success => Exit::Done,
                _ => Exit::Failed,
            })
        }
        Err(WaitError::TimedOut { id, last, .. }) => {
            let after = call.timeout;
            let timed_out = WaitError::TimedOut { id, after, last };
            let why = nobody(&handle, &call.task, reach).await;
            let why = why.map(|why| format!("; {why}")).unwrap_or_default();
            Err(Stop::new(
                Exit::TimedOut,
                format!(
                    "{timed_out}{why}; ask again with `taskq result {id}`, `taskq why {id}` says more"
                ),
            ))
        }
        Err(WaitError::Broker(error)) => Err(error.into()),
        Err(other) => Err(Stop::new(Exit::Failed, other.to_string())),
    }
}

/// What is to be said of a queue whose name is nearly another's. Asked before the call is sent: then it is there.
async fn strange_queue(call: &Call, reach: &Reach) -> Result<Option<String>, Stop> {
    let Some(queue) = &call.queue else {
        return Ok(None);
    };
    match misspelt(queue, reach).await {
        Err(stop) if stop.exit == Exit::Unreachable => Err(stop),
        // The call is sent whatever comes of the look.
        looked => Ok(looked.unwrap_or_default()),
    }
}

/// Says so if the queue or the task may be misspelt: nobody has heard of it. The call is sent all the same.
async fn warn(call: &Call, queue: Option<String>, reach: &Reach, console: &mut Console<'_>) {
    // `--check` has looked already.
    let task = match call.check {
        true => None,
        false => unpublished(&call.task, reach).await.unwrap_or_default(),
    };
    for sentence in queue.into_iter().chain(task) {
        console.notice(&format!("warning: {sentence}; it is sent all the same"));
    }
}

/// Why nobody takes the call, as far as that can be told.
async fn nobody(handle: &TaskHandle<Value>, task: &str, reach: &Reach) -> Option<String> {
    untaken(handle.queue()?, task, reach).await
}
