//! Giving back what a session held when it is over: to the front, to the suspects, or to the dead.

use super::queue::Queue;
use super::session::{Marked, Session};
use super::store::{Store, Usage};
use crate::broker::{DeadMessage, Swept};
use crate::id::QueueName;
use crate::message::{Message, OnCrash};
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

impl Store {
    /// Gives back what others at this queue held past their lease, if this consumer may judge them.
    pub(super) fn sweep(&mut self, consumer: u64, name: &QueueName, now: u64) -> Swept {
        let mut swept = Swept::default();
        let Some((queue, owed)) = self.queue_and_owed(name) else {
            return swept;
        };
        if !queue
            .sessions
            .get(&consumer)
            .is_some_and(|s| s.may_sweep(now))
        {
            return swept;
        }
        let past = queue.sessions.iter().filter(|(_, s)| s.is_past(now));
        let past: Vec<u64> = past.map(|(other, _)| *other).collect();
        for other in past {
            if let Some(session) = queue.sessions.remove(&other) {
                give(queue, owed, name, session, now, &mut swept);
            }
        }
        swept
    }

    /// Ends a consumer's session at one queue by its own will: no crash is charged.
    pub(super) fn close(&mut self, consumer: u64, name: &QueueName, now: u64) {
        let Some((queue, owed)) = self.queue_and_owed(name) else {
            return;
        };
        if let Some(mut session) = queue.sessions.remove(&consumer) {
            session.retired = true;
            give(queue, owed, name, session, now, &mut Swept::default());
        }
    }
}

fn give(
    queue: &mut Queue,
    owed: &mut Usage,
    name: &QueueName,
    session: Session,
    now: u64,
    swept: &mut Swept,
) {
    session.lost.cancel();
    let charge = u8::from(!session.retired);
    for (_, mut held) in session.held.into_iter().rev() {
        held.crashes = held.crashes.saturating_add(charge).min(9);
        let message = Message::decode(&held.body).ok();
        let at_most_once = message
            .as_ref()
            .is_some_and(|m| m.on_crash == OnCrash::Dead);
        if !at_most_once && held.crashes < held.crash_limit() {
            queue.put_back(held);
            swept.returned += 1;
            continue;
        }
        owed.remove(held.body.len());
        bury(queue, name, held, message, now);
        swept.dead += 1;
    }
}

fn bury(queue: &mut Queue, name: &QueueName, held: Marked, message: Option<Message>, now: u64) {
    let reason = match (&message, held.crashes) {
        (Some(m), _) if m.on_crash == OnCrash::Dead => {
            "its process ended while it ran, and on_crash = \"dead\" forbids a second run"
                .to_owned()
        }
        (_, n) => format!("its process died {n} times while it ran, which is its limit"),
    };
    if let Some(m) = message.filter(|m| !m.ignore_result) {
        let mut record = queue
            .records
            .get(m.id, now)
            .cloned()
            .unwrap_or_else(|| Record::new(m.id, &m.task, name, State::Dead));
        record.state = State::Dead;
        record.error = Some(Failure::new("WorkerCrashed", reason.clone()));
        record.attempts = m.attempt();
        record.crashes = held.crashes.into();
        record.finished = Some(now);
        record.due = None;
        queue.records.write(record, now, now);
    }
    queue.dead.push(DeadMessage {
        body: held.body,
        state: State::Dead,
        reason,
        at: now,
    });
}
