//! Giving back what a session held when it is over: to the front, to the suspects, or to the dead.

use std::sync::Arc;

use super::session::Session;
use super::store::{At, Store};
use super::stream::Tale;
use crate::broker::marked::Marked;
use crate::broker::{DeadHandle, DeadMessage, Swept};
use crate::event::Told;
use crate::id::QueueName;
use crate::message::Message;
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

impl Store {
    /// Gives back what others at this queue held past their lease, if this consumer may judge them; told by `node`.
    pub(super) fn sweep(
        &mut self,
        consumer: u64,
        node: &Arc<str>,
        name: &QueueName,
        now: u64,
    ) -> Swept {
        let mut swept = Swept::default();
        let Some(mut at) = self.at(name) else {
            return swept;
        };
        let sessions = &mut at.queue.sessions;
        if !sessions.get(&consumer).is_some_and(|s| s.may_sweep(now)) {
            return swept;
        }
        let past: Vec<Session> = sessions
            .extract_if(.., |_, s| s.is_past(now))
            .map(|(_, session)| session)
            .collect();
        for session in past {
            at.give(node, name, session, now, &mut swept);
        }
        swept
    }

    /// Ends a consumer's session at one queue by its own will: no crash is charged.
    pub(super) fn close(&mut self, consumer: u64, node: &Arc<str>, name: &QueueName, now: u64) {
        let Some(mut at) = self.at(name) else {
            return;
        };
        if let Some(mut session) = at.queue.sessions.remove(&consumer) {
            session.retired = true;
            at.give(node, name, session, now, &mut Swept::default());
        }
    }
}

impl At<'_> {
    fn give(
        &mut self,
        node: &Arc<str>,
        name: &QueueName,
        session: Session,
        now: u64,
        swept: &mut Swept,
    ) {
        session.lost.cancel();
        let crashed = !session.retired;
        for (_, mut held) in session.held.into_iter().rev() {
            held.crashes = held.crashes.saturating_add(u8::from(crashed)).min(9);
            self.queue.totals.crashed += u64::from(crashed);
            let message = Message::decode(&held.body).ok();
            let reason = held.ends_here(message.as_ref());
            if let Some(message) = &message {
                let told = Told::given_back(message, crashed, reason.as_deref());
                let tale = Tale::Task(Box::new(told), Some(node.clone()));
                self.queue.stream.tell(tale, now);
            }
            if let Some(reason) = reason {
                self.queue.totals.dead += 1;
                self.owed.remove(held.body.len());
                self.bury(name, held, message, reason, now);
                swept.dead += 1;
            } else {
                self.queue.totals.returned += 1;
                self.queue.put_back(held);
                swept.returned += 1;
            }
        }
    }

    fn bury(
        &mut self,
        name: &QueueName,
        held: Marked,
        message: Option<Message>,
        reason: String,
        now: u64,
    ) {
        if let Some(m) = message.filter(|m| !m.ignore_result) {
            let stands = self.queue.records.get(m.id, now);
            let mut record =
                stands.unwrap_or_else(|| Record::new(m.id, &m.task, name, State::Dead));
            record.state = State::Dead;
            record.error = Some(Failure::new("WorkerCrashed", reason.clone()));
            record.attempts = m.retries;
            record.crashes = held.crashes.into();
            record.finished = Some(now);
            record.due = None;
            self.write(name, record, now, now);
        }
        self.queue.dead.push(DeadMessage {
            handle: DeadHandle::default(),
            body: held.body,
            state: State::Dead,
            reason,
            at: now,
        });
    }
}
