//! What the mutant finds, and what it lists as delayed.

use bytes::Bytes;
use taskq_core::broker::{DelayedMessage, Found, Inspect, Place, Results};
use taskq_core::{Error, Message, QueueName, TaskId};

use super::{Flaw, Mutant};

impl Mutant {
    pub(super) async fn bent_find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        let mut found = self.inner.find(queue, id).await?;
        let waiting = self.inner.depth(queue).await?.waiting;
        let untracked = self.inner.record(id, None).await?.is_none();
        let undone = |place: &Place, body: &Bytes| match self.flaw {
            Flaw::FindsTheTrackedAlone => untracked,
            Flaw::FindsNothingHeld => matches!(place, Place::Held | Place::Suspect { .. }),
            Flaw::FindsNothingDelayed => matches!(place, Place::Delayed { .. }),
            Flaw::FindsOneSpelling => !String::from_utf8_lossy(body).contains(&id.to_string()),
            _ => false,
        };
        found.place = found.place.filter(|(place, body)| !undone(place, body));
        match (self.flaw, &mut found.place) {
            (Flaw::TellsNobodyAhead, Some((Place::Waiting { ahead }, _))) => *ahead = 0,
            (Flaw::TellsAllAhead, Some((Place::Waiting { ahead }, _))) => *ahead = waiting - 1,
            (Flaw::ForgetsTheReasonInASearch, Some((Place::Dead { reason, .. }, _))) => {
                reason.clear();
            }
            (Flaw::TakesAMentionForIt, None) => {
                let sent = self.notes().sent.clone();
                let speaks = |body: &Bytes| String::from_utf8_lossy(body).contains(&id.to_string());
                let other = sent.iter().find(|body| speaks(body));
                if let Some(Ok(message)) = other.map(|body| Message::decode(body)) {
                    return self.inner.find(queue, message.id).await;
                }
            }
            (Flaw::FindsInEveryQueue, None) => {
                for other in self.inner.queues().await? {
                    let there = self.inner.find(&other, id).await?;
                    found.place = found.place.or(there.place);
                }
            }
            (Flaw::NeverLooksAtAll, _) => found.complete = false,
            _ => {}
        }
        Ok(found)
    }

    pub(super) async fn bent_delayed(
        &self,
        queue: &QueueName,
        limit: usize,
    ) -> Result<Vec<DelayedMessage>, Error> {
        let mut listed = self.inner.delayed(queue, 1_000).await?;
        if self.flaw == Flaw::ListsDelayedBackwards {
            listed.reverse();
        }
        if self.flaw != Flaw::ListsAllTheDelayed {
            listed.truncate(limit);
        }
        Ok(listed)
    }
}
