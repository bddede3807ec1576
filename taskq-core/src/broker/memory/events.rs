//! Reading what was told: a page from all streams, from a position on.
//!
//! A position holds, for each stream, this broker's own id and the number of the last entry that was read. A position
//! of another broker means that what it counted is gone.

use std::collections::BTreeMap;

use super::store::Store;
use super::stream::{Entry, Stream};
use crate::event::{Event, EventPage, EventPosition};
use crate::id::{QueueName, TaskId};

/// A page has at most this many entries, of up to three events each.
const PAGE: usize = 1_000;

/// The fleet's stream in a position; no queue has this name.
const FLEET: &str = "";

/// The number of the last entry that was read of each stream: a position that was found to be of this broker.
#[derive(Debug)]
pub(super) struct Place {
    broker: TaskId,
    read: BTreeMap<String, u64>,
    missed: bool,
}

impl Place {
    fn position(&self) -> EventPosition {
        let write =
            |(name, number): (&String, &u64)| (name.clone(), format!("{}/{number}", self.broker));
        EventPosition {
            read: self.read.iter().map(write).collect(),
            // A stream that is not in there began after its reader did.
            from_oldest: true,
        }
    }
}

/// `None`: another broker wrote it.
fn number_in(text: &str, broker: TaskId) -> Option<u64> {
    let (writer, number) = text.split_once('/')?;
    (writer == broker.to_string()).then(|| number.parse().ok())?
}

impl Store {
    /// Where a reader at `position` stands here.
    pub(super) fn place(&self, broker: TaskId, position: &EventPosition) -> Place {
        let mut place = Place {
            broker,
            read: BTreeMap::new(),
            missed: false,
        };
        for (queue, stream) in self.streams() {
            let name = queue.map_or(FLEET, QueueName::as_str);
            let number = match position.read.get(name) {
                Some(text) => {
                    let number = number_in(text, broker);
                    place.missed |= number.is_none_or(|n| n < stream.dropped());
                    number.unwrap_or(0)
                }
                None if position.from_oldest => {
                    let began_later = !position.read.is_empty();
                    place.missed |= began_later && stream.dropped() > 0;
                    0
                }
                None => stream.newest(),
            };
            let number = number.max(stream.dropped());
            place.read.insert(name.to_owned(), number);
        }
        place
    }

    /// The next entries behind `place`, the oldest of all streams first.
    pub(super) fn page(&self, mut place: Place) -> EventPage {
        let mut found: Vec<(u64, Option<&QueueName>, &Entry)> = Vec::new();
        for (queue, stream) in self.streams() {
            let name = queue.map_or(FLEET, QueueName::as_str);
            let read = place.read.get(name).copied().unwrap_or(0);
            let behind = (read + 1..=stream.newest()).take(PAGE);
            found.extend(behind.filter_map(|n| Some((n, queue, stream.entry(n)?))));
        }
        // Stable: times never fall within a stream, so each keeps its order.
        found.sort_by_key(|(_, _, entry)| entry.at);
        found.truncate(PAGE);
        let mut events: Vec<Event> = Vec::with_capacity(found.len());
        for (number, queue, entry) in found {
            let name = queue.map_or(FLEET, QueueName::as_str);
            place.read.insert(name.to_owned(), number);
            events.extend(entry.clone().expand(queue));
        }
        events.sort_by_key(|event| event.at);
        EventPage {
            events,
            next: place.position(),
            missed: place.missed,
        }
    }

    /// The fleet's stream and then those of the queues.
    fn streams(&self) -> impl Iterator<Item = (Option<&QueueName>, &Stream)> {
        let queues = self.queues.iter();
        std::iter::once((None, &self.fleet.stream))
            .chain(queues.map(|(name, queue)| (Some(name), &queue.stream)))
    }
}
