//! What a test expects to have been sent, and the difference to what was.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use taskq_core::task::Registry;
use taskq_core::{Message, Signature};

use super::sent::{Bound, Sent, due};

/// So many messages are listed when one that was expected is not there.
const LISTED: usize = 20;

/// What is expected of a message: [`assert_enqueued!`](crate::assert_enqueued) writes it; its options are these methods.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::Duration;
/// use taskq_worker::task;
/// use taskq_worker::testing::{Expected, TestBroker};
///
/// #[task(name = "mail.welcome", queue = "mail")]
/// async fn welcome(to: String) {}
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let broker = TestBroker::new();
///     broker.client().send(welcome::call("ana@example.org".into())).await.unwrap();
///     let expected = Expected::task("mail.welcome").kwargs(&BTreeMap::from([("to", "ana@example.org")]));
///     assert_eq!(broker.find_enqueued(&expected).unwrap().len(), 1);
///     assert!(broker.find_enqueued(&expected.after(Duration::from_secs(60))).is_err());
/// }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an expectation does nothing by itself"]
pub struct Expected {
    /// Its task; and its arguments, where `arguments` says that they count.
    message: Message,
    arguments: bool,
    queue: Option<String>,
    within: Option<Duration>,
    after: Option<Duration>,
    priority: Option<u8>,
    times: Option<usize>,
    /// An argument that does not serialize.
    fault: Option<String>,
}

impl Expected {
    /// A call of the task called `name`, with any arguments.
    pub fn task(name: impl Into<String>) -> Self {
        Self {
            message: Message::new(name),
            arguments: false,
            queue: None,
            within: None,
            after: None,
            priority: None,
            times: None,
            fault: None,
        }
    }

    /// This call: its task and its arguments. Its options count for nothing.
    pub fn call<R>(call: &Signature<R>) -> Self {
        Self {
            message: call.message().clone(),
            arguments: true,
            ..Self::task("")
        }
    }

    /// With these positional arguments: what serializes to a JSON array. It counts for nothing whether the call named them.
    pub fn args(mut self, args: &(impl Serialize + ?Sized)) -> Self {
        let call = Signature::<()>::by_name(&self.message.task).args(args);
        if call.message().args.is_none() {
            self.fault = Some("`args` does not serialize to a JSON array".to_owned());
        }
        self.message.args = call.message().args.clone();
        self.arguments = true;
        self
    }

    /// With these named arguments: what serializes to a JSON object. It counts for nothing whether the call named them.
    pub fn kwargs(mut self, kwargs: &(impl Serialize + ?Sized)) -> Self {
        let call = Signature::<()>::by_name(&self.message.task).kwargs(kwargs);
        if call.message().kwargs.is_none() {
            self.fault = Some("`kwargs` does not serialize to a JSON object".to_owned());
        }
        self.message.kwargs = call.message().kwargs.clone();
        self.arguments = true;
        self
    }

    /// Sent to this queue.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = Some(name.into());
        self
    }

    /// Due at the latest so long after it was sent.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Due at the earliest so long after it was sent.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = Some(time);
        self
    }

    /// Of this priority.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Exactly so often; left out: once or more.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Those that fit; an error if there are none, or not as many as there should be.
    pub(super) fn among(
        &self,
        sent: Vec<Sent>,
        registry: &Registry,
    ) -> Result<Vec<Sent>, NotEnqueued> {
        let told = |headline: String, all: &[Sent]| NotEnqueued {
            text: self.told(&headline, all, registry),
        };
        if let Some(fault) = &self.fault {
            return Err(told(fault.clone(), &sent));
        }
        let fits = |one: &&Sent| {
            self.differences(one, registry)
                .is_some_and(|d| d.is_empty())
        };
        let fitting: Vec<Sent> = sent.iter().filter(fits).cloned().collect();
        match (self.times, fitting.len()) {
            (None, 0) => Err(told("it was not enqueued".to_owned(), &sent)),
            (Some(times), n) if times != n => {
                let text = format!("it was enqueued {n} times, not {times} times");
                Err(told(text, &sent))
            }
            _ => Ok(fitting),
        }
    }

    /// An error if some fit, and as many as there should not be.
    pub(super) fn none_among(&self, sent: &[Sent], registry: &Registry) -> Result<(), NotEnqueued> {
        let fits = |one: &&Sent| {
            self.differences(one, registry)
                .is_some_and(|d| d.is_empty())
        };
        let headline = match (&self.fault, sent.iter().filter(fits).count()) {
            (Some(fault), _) => fault.clone(),
            (None, n) if self.times.map_or(n == 0, |times| n != times) => return Ok(()),
            (None, 1) => "it was enqueued, and should not be".to_owned(),
            (None, n) => format!("it was enqueued {n} times, and should not be"),
        };
        Err(NotEnqueued {
            text: self.told(&headline, sent, registry),
        })
    }

    /// What is otherwise than expected; `None`: it is of another task.
    fn differences(&self, sent: &Sent, registry: &Registry) -> Option<Vec<String>> {
        if sent.task != self.message.task {
            return None;
        }
        let mut lines = Vec::new();
        if self.arguments {
            lines = self.bound(registry).differences(&sent.bound(registry));
        }
        if let Some(queue) = &self.queue
            && sent.queue.as_str() != queue
        {
            lines.push(format!("it went to the queue {}, not {queue}", sent.queue));
        }
        if let Some(within) = self.within
            && sent.delay > within
        {
            lines.push(format!("it is {}, not within {within:?}", due(sent.delay)));
        }
        if let Some(after) = self.after
            && sent.delay < after
        {
            lines.push(format!("it is {}, not after {after:?}", due(sent.delay)));
        }
        if let Some(priority) = self.priority
            && sent.message.priority != priority
        {
            let there = sent.message.priority;
            lines.push(format!("its priority is {there}, not {priority}"));
        }
        Some(lines)
    }

    fn bound(&self, registry: &Registry) -> Bound {
        Bound::of(&self.message, registry.get(&self.message.task))
    }

    /// The headline, what was expected, and what was there.
    pub(super) fn told(&self, headline: &str, all: &[Sent], registry: &Registry) -> String {
        let mut text = format!("{headline}\n  expected: {}", self.shown(registry));
        if all.is_empty() {
            return text + "\n  sent: nothing";
        }
        // What comes nearest is listed first.
        let mut listed: Vec<(usize, &Sent, Option<Vec<String>>)> = all
            .iter()
            .map(|sent| (sent, self.differences(sent, registry)))
            .map(|(sent, d)| (d.as_ref().map_or(usize::MAX, Vec::len), sent, d))
            .collect();
        listed.sort_by_key(|(distance, _, _)| *distance);
        text += &format!("\n  sent: {}", all.len());
        for (_, sent, differences) in listed.iter().take(LISTED) {
            let mark = if differences.as_ref().is_some_and(Vec::is_empty) {
                "="
            } else {
                "-"
            };
            text += &format!("\n  {mark} {}", sent.shown(registry));
            for line in differences.iter().flatten() {
                text += &format!("\n      {line}");
            }
        }
        if all.len() > LISTED {
            text += &format!("\n  and {} more", all.len() - LISTED);
        }
        text
    }

    fn shown(&self, registry: &Registry) -> String {
        let arguments = match self.arguments {
            true => self.bound(registry).to_string(),
            false => "…".to_owned(),
        };
        let mut text = format!("{}({arguments})", self.message.task);
        if let Some(queue) = &self.queue {
            text += &format!(" to the queue {queue}");
        }
        if let Some(priority) = self.priority {
            text += &format!(", of priority {priority}");
        }
        if let Some(within) = self.within {
            text += &format!(", due within {within:?}");
        }
        if let Some(after) = self.after {
            text += &format!(", not due before {after:?}");
        }
        match self.times {
            Some(1) => text + ", once",
            Some(times) => text + &format!(", {times} times"),
            None => text,
        }
    }
}

/// What was expected was not sent: says what was, and what differs.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NotEnqueued {
    pub(super) text: String,
}

impl fmt::Debug for NotEnqueued {
    /// As it is displayed: it is read where a test fails.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
