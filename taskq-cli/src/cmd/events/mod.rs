//! `taskq events`: what happens, while it happens, or what is kept of it.

mod filter;
mod line;

use std::time::Duration;

use clap::Args;
use taskq_core::event::{EventPage, EventPosition};

use crate::cmd::ask::known;
use crate::console::{Console, coming};
use crate::exit::{Exit, Stop};
use crate::quantity;
use crate::reach::Reach;
use filter::{Filter, Sieve};
use line::Lines;

/// One question waits so long for something to happen.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A broker that is away is asked again after this long.
const PAUSE: Duration = Duration::from_millis(500);

const FILTERS: &str = "\
A filter is KEY=PATTERN; events that fit all filters are shown:
  type    such as task-failed, or worker-*
  task    the task's name, such as logistica.*
  id      the call's id, or how it ends, as the lines show it
  queue   the queue it happened at
  worker  the node that tells it, or that it is about
In a pattern * stands for any characters, ? for one, [ab] for one of these.";

/// What is shown, from where on, and how far.
#[derive(Debug, Args)]
#[command(after_help = FILTERS)]
pub(crate) struct Events {
    /// Only events that fit, such as type=task-failed; several must all fit
    #[arg(long, value_name = "KEY=PATTERN", num_args = 1.., value_parser = filter::read)]
    filter: Vec<Filter>,
    /// Only what these workers tell, or is told of them; give several with commas, or repeat it
    #[arg(short, long, value_name = "NODE", value_delimiter = ',', value_parser = quantity::node)]
    destination: Vec<String>,
    /// Show what is kept, the oldest event first, and end; with `--follow` go on
    #[arg(long)]
    oldest: bool,
    /// Go on with what happens, until Ctrl-C: that is so unless `--oldest` is given
    #[arg(short, long)]
    follow: bool,
    /// Begin with what happens from now on: that is so unless `--oldest` is given
    #[arg(long, conflicts_with = "oldest")]
    since_start: bool,
}

pub(crate) async fn run(
    events: Events,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let interrupted = coming(console.take_interrupt());
    let left = coming(console.take_reader_left());
    // Each is at rest at an await: what is printed are whole lines.
    tokio::select! {
        biased;
        () = interrupted => Ok(Exit::Done),
        () = left => Ok(Exit::Done),
        end = show(events, json, reach, console) => end,
    }
}

/// Goes on until nobody reads it any more, or until what was there is shown.
async fn show(
    events: Events,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let follows = events.follow || !events.oldest;
    let mut position = if events.oldest {
        EventPosition::oldest()
    } else {
        EventPosition::newest()
    };
    let (_, strangers) = known(events.destination.clone(), reach).await?;
    if let Some(strangers) = strangers {
        let shown = match follows {
            true => "what they tell once they run is shown",
            false => "what they told before is shown",
        };
        console.notice(&format!("{strangers}; {shown}"));
    }
    let mut show = Show {
        sieve: Sieve::new(events.filter, events.destination),
        lines: Lines::new(console.look()),
        json,
        shown: 0,
    };
    // Asked before anything is shown: where more happens than can be shown there would be no end.
    let end = match follows {
        true => None,
        false => Some(newest(reach).await?),
    };
    // The first one finds its place, or that there is no broker; whatever comes later is lived through.
    let mut wait = Duration::ZERO;
    let mut is_away = false;
    while !console.is_closed() {
        let asking = reach.client.events(&position, wait);
        match reach.read_for(wait, asking).await {
            Ok(page) => {
                if std::mem::take(&mut is_away) {
                    console.notice("the broker answers again");
                }
                show.page(&page, console);
                // Of a broker that was emptied meanwhile the pages stand still before they get there.
                let is_over = |end| page.next.has_reached(end) || page.next == position;
                if end.as_ref().is_some_and(is_over) {
                    break;
                }
                position = page.next;
                if follows {
                    wait = AT_ONCE;
                }
            }
            Err(stop) if stop.passes && !wait.is_zero() => {
                if !std::mem::replace(&mut is_away, true) {
                    let sentence = format!("{}; going on from here once it answers", stop.text);
                    console.notice(&sentence);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(stop) => return Err(stop),
        }
    }
    if !follows && show.shown == 0 && !console.is_closed() {
        let address = reach.address();
        console.notice(&format!("no event that is kept fits at {address}"));
    }
    Ok(Exit::Done)
}

/// Where what was there up to now ends.
async fn newest(reach: &Reach) -> Result<EventPosition, Stop> {
    let newest = EventPosition::newest();
    let asking = reach.client.events(&newest, Duration::ZERO);
    Ok(reach.read(asking).await?.next)
}

/// What is shown, and how.
struct Show {
    sieve: Sieve,
    lines: Lines,
    json: bool,
    /// So many.
    shown: u64,
}

impl Show {
    fn page(&mut self, page: &EventPage, console: &mut Console<'_>) {
        if page.missed {
            console.notice(
                "events were missed here: the broker dropped them before they were read, or was emptied",
            );
        }
        for event in page.events.iter().filter(|event| self.sieve.keeps(event)) {
            self.shown += 1;
            if self.json {
                console.json(&event.to_json());
            } else {
                console.print(&self.lines.line(event));
            }
        }
        console.flush();
    }
}
