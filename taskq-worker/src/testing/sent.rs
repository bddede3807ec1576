//! A message that was sent, as a test looks at it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use taskq_core::broker::{Due, Outgoing};
use taskq_core::task::{Registry, TaskDef};
use taskq_core::{Message, QueueName, TaskId, clock};

/// An argument is shown up to so many characters.
const SHOWN: usize = 120;

/// A message that the broker accepted: see [`TestBroker::sent`](super::TestBroker::sent).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sent {
    /// The call.
    pub id: TaskId,
    /// The task's name.
    pub task: String,
    /// The queue it was sent to.
    pub queue: QueueName,
    /// When it is due: ms since the epoch; `None`: at once.
    pub due: Option<u64>,
    /// How long after it was sent it is due; nothing: at once.
    pub delay: Duration,
    /// The whole message: arguments, headers, priority, expiry, who sent it.
    pub message: Message,
}

impl Sent {
    pub(super) fn of(queue: &QueueName, outgoing: &Outgoing) -> Option<Self> {
        let message = Message::decode(&outgoing.body).ok()?;
        // Its sender's time, as in the record: a clock read here would be a moment later.
        let sent = message.enqueued_at.unwrap_or_else(clock::now_ms);
        let (due, delay) = match outgoing.due {
            Due::Now => (None, Duration::ZERO),
            Due::In(delay) => (Some(sent.saturating_add(whole_ms(delay))), delay),
            Due::At(at) => (Some(at), Duration::from_millis(at.saturating_sub(sent))),
        };
        let due = due.filter(|at| *at > sent);
        Some(Self {
            id: message.id,
            task: message.task.clone(),
            queue: queue.clone(),
            due,
            delay,
            message,
        })
    }

    /// Its arguments by name, as far as the task is known.
    pub(super) fn bound(&self, registry: &Registry) -> Bound {
        Bound::of(&self.message, registry.get(&self.task))
    }

    /// `mail.send(to = "a@b") to the queue mail, due after 60s`
    pub(super) fn shown(&self, registry: &Registry) -> String {
        let due = due(self.delay);
        let arguments = self.bound(registry);
        format!(
            "{}({arguments}) to the queue {}, {due}",
            self.task, self.queue
        )
    }
}

/// The arguments of a call by name; those whose names are not known by place. What may be left out and says nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound(Vec<(String, Value)>);

impl Bound {
    pub(super) fn of(message: &Message, def: Option<&TaskDef>) -> Self {
        let params = def.map_or(&[][..], |def| def.params);
        let args = message.args.as_ref().map(|raw| raw.get());
        let args: Vec<Value> = args
            .and_then(|a| serde_json::from_str(a).ok())
            .unwrap_or_default();
        let kwargs = message.kwargs.as_ref().map(|raw| raw.get());
        let mut kwargs: BTreeMap<String, Value> = kwargs
            .and_then(|k| serde_json::from_str(k).ok())
            .unwrap_or_default();
        let mut bound = Vec::new();
        for (place, value) in args.into_iter().enumerate() {
            let name = params.get(place).map(|p| p.name.to_owned());
            bound.push((name.unwrap_or_else(|| place.to_string()), value));
        }
        // In the order of the parameters, whichever way they were written.
        for param in params {
            bound.extend(kwargs.remove_entry(param.name));
        }
        bound.extend(kwargs);
        let optional = |name: &str| params.iter().any(|p| p.name == name && !p.required);
        bound.retain(|(name, value)| !(value.is_null() && optional(name)));
        Self(bound)
    }

    /// What of `self` is otherwise in `other`, as lines.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let get =
            |of: &Self, name: &str| of.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let mut lines = Vec::new();
        for (name, wanted) in &self.0 {
            match get(other, name) {
                Some(there) if there == *wanted => {}
                Some(there) => lines.push(format!(
                    "{name} is {}, not {}",
                    short(&there),
                    short(wanted)
                )),
                None => lines.push(format!("{name} is left out, not {}", short(wanted))),
            }
        }
        for (name, there) in &other.0 {
            if get(self, name).is_none() {
                lines.push(format!(
                    "{name} is {}, and should be left out",
                    short(there)
                ));
            }
        }
        lines
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                write!(f, "{comma}{}", short(value))?;
            } else {
                write!(f, "{comma}{name} = {}", short(value))?;
            }
        }
        Ok(())
    }
}

fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// `due at once`, `due after 60s`
pub(super) fn due(delay: Duration) -> String {
    match delay {
        Duration::ZERO => "due at once".to_owned(),
        delay => format!("due after {delay:?}"),
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_times_are_those_that_its_sender_reckoned_with() {
        let due = |due| {
            let mut message = Message::new("mail.remind");
            message.enqueued_at = Some(5_000);
            let outgoing = Outgoing {
                id: message.id,
                body: message.encode().unwrap().into(),
                priority: 0,
                due,
                record: None,
                once: None,
                event: None,
            };
            let sent = Sent::of(&"mail".parse().unwrap(), &outgoing).unwrap();
            (sent.due, sent.delay)
        };
        let minute = Duration::from_secs(60);
        assert_eq!(due(Due::Now), (None, Duration::ZERO));
        assert_eq!(due(Due::In(minute)), (Some(65_000), minute));
        assert_eq!(due(Due::At(65_000)), (Some(65_000), minute));
        assert_eq!(due(Due::At(4_000)), (None, Duration::ZERO));
    }
}
