//! Following one call to its end: what changes, as it comes.

use std::time::Duration;

use serde_json::Value;
use taskq_client::{TaskHandle, WaitError};
use taskq_core::{Progress, Record, State};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::console::{Console, Stream};
use crate::quantity::{rfc3339, span};
use crate::reach::PATIENCE;
use crate::record_view::{RecordView, far};

/// A record is looked at this often: a task tells its progress twice a second at most.
const LOOK: Duration = Duration::from_millis(250);
/// One step of the line that shows that something is waited for.
const TURN: Duration = Duration::from_millis(125);
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

/// How changes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Not at all.
    Nothing,
    /// A line of text each, on stdout.
    Lines,
    /// A JSON object each, on stdout.
    Json,
    /// In one line that is drawn again, and is gone at the end.
    Redrawn(Stream),
}

/// Waits up to `timeout` for the end of a call and shows what changes until then; its final record is the caller's. The
/// wait `began` then: it may be the rest of one.
///
/// What comes and goes between two looks is not shown.
pub(crate) async fn follow(
    handle: &TaskHandle<Value>,
    timeout: Duration,
    began: Instant,
    show: Show,
    console: &mut Console<'_>,
) -> Result<Record, WaitError> {
    let mut end = std::pin::pin!(handle.wait_record(timeout));
    let mut turns = interval(if show == Show::Nothing { LOOK } else { TURN });
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = View::new(began, show);
    loop {
        tokio::select! {
            biased;
            ended = &mut end => {
                view.wipe(console);
                return ended;
            }
            _ = turns.tick() => {}
        }
        if show != Show::Nothing && view.looks() {
            tokio::select! {
                biased;
                ended = &mut end => {
                    view.wipe(console);
                    return ended;
                }
                record = handle.record() => match record {
                    Ok(record) => view.saw(record, console),
                    // The wait goes on through it, and ends with it if it lasts.
                    Err(_) => view.saw_nothing(console),
                },
            }
        }
        view.turn(console);
    }
}

struct View {
    show: Show,
    began: Instant,
    looked: Option<Instant>,
    answered: Instant,
    complained: bool,
    frame: usize,
    last: Option<Seen>,
    line: String,
}

/// What makes a difference.
#[derive(PartialEq)]
struct Seen {
    state: State,
    attempts: u32,
    crashes: u32,
    started: Option<u64>,
    progress: Option<Progress>,
}

impl View {
    fn new(began: Instant, show: Show) -> Self {
        Self {
            show,
            began,
            looked: None,
            answered: Instant::now(),
            complained: false,
            frame: 0,
            last: None,
            line: String::new(),
        }
    }

    /// Whether it is time to look.
    fn looks(&mut self) -> bool {
        let now = Instant::now();
        let due = self.looked.is_none_or(|at| now - at >= LOOK);
        if due {
            self.looked = Some(now);
        }
        due
    }

    fn saw(&mut self, record: Option<Record>, console: &mut Console<'_>) {
        self.answered = Instant::now();
        self.complained = false;
        // The final one is the wait's to tell.
        let Some(record) = record.filter(|r| !r.state.is_final()) else {
            return;
        };
        let seen = Seen {
            state: record.state,
            attempts: record.attempts,
            crashes: record.crashes,
            started: record.started,
            progress: record.progress.clone(),
        };
        if self.last.as_ref() == Some(&seen) {
            return;
        }
        self.last = Some(seen);
        self.line = line(&record);
        match self.show {
            Show::Lines => console.print(&format!("{}\n", crate::console::plain(&self.line))),
            Show::Json => console.json(&RecordView::of(&record)),
            Show::Nothing | Show::Redrawn(_) => return,
        }
        console.flush();
    }

    /// The broker does not answer; said once each time.
    fn saw_nothing(&mut self, console: &mut Console<'_>) {
        if self.answered.elapsed() >= PATIENCE && !self.complained {
            self.complained = true;
            self.wipe(console);
            console.notice("the broker does not answer; the wait goes on");
        }
    }

    fn turn(&mut self, console: &mut Console<'_>) {
        if let Show::Redrawn(stream) = self.show {
            self.frame += 1;
            let frame = FRAMES[self.frame % FRAMES.len()];
            let waited = span(self.began.elapsed().as_secs_f64());
            console.redraw(stream, &format!("{frame} {waited}  {}", self.line));
        }
    }

    fn wipe(&self, console: &mut Console<'_>) {
        if let Show::Redrawn(stream) = self.show {
            console.redraw(stream, "");
        }
    }
}

/// Where it stands, in a line.
fn line(record: &Record) -> String {
    let mut text = record.state.to_string();
    match record.state {
        State::Started => {
            text.push_str(&format!(" attempt {}", record.attempts));
            if let Some(worker) = &record.worker {
                text.push_str(&format!(" on {worker}"));
            }
            if let Some(progress) = &record.progress {
                text.push_str(&format!(": {}", far(progress)));
            }
        }
        State::Retry => {
            text.push_str(&format!(" after attempt {}", record.attempts));
            if let Some(error) = &record.error {
                text.push_str(&format!(": {}: {}", error.kind, error.message));
            }
        }
        _ => {}
    }
    if let Some(due) = record.due.and_then(rfc3339) {
        text.push_str(&format!(", due {due}"));
    }
    text
}
