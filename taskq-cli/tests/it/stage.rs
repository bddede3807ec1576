//! What the tests play on: a memory broker, workers with set answers, and a terminal that remembers.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taskq_cli::{Console, Exit, run};
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{
    Backend, Broker, Consumer, ConsumerOptions, Control, Delivery, Due, End, Order, Outgoing,
    Verdict,
};
use taskq_core::control::{Command, Reply};
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::{Failure, Message, QueueName, Record, State, TaskId};

const LONG: Duration = Duration::from_secs(3_600);

pub(crate) struct Stage(pub(crate) Arc<MemoryBroker>);

/// What one command line said.
pub(crate) struct Said {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exit, out, err } = self;
        write!(
            f,
            "exit {}\n--- stdout\n{out}--- stderr\n{err}",
            exit.code()
        )
    }
}

/// The words of a command line, the program's name included.
///
/// It names a broker, so that nothing is said of one that nobody named; this one is never looked for.
pub(crate) fn words(line: &[&str]) -> Vec<OsString> {
    let names = line.iter().any(|word| ["--broker", "-b"].contains(word));
    let broker: &[&str] = if names {
        &[]
    } else {
        &["--broker", "memory://"]
    };
    let words = ["taskq"].iter().chain(broker).chain(line);
    words.map(OsString::from).collect()
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self(Arc::new(MemoryBroker::new()))
    }

    /// Runs a command line to its end; nobody is there to be asked.
    pub(crate) async fn run(&self, line: &[&str]) -> Said {
        self.typed(line, None).await
    }

    /// The same, and ana at her desk answers what she is asked with `typed`.
    pub(crate) async fn typed(&self, line: &[&str], typed: Option<&str>) -> Said {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut input = typed.unwrap_or_default().as_bytes();
        let backend: Arc<dyn Backend> = self.0.clone();
        let mut console = Console::new(&mut out, &mut err).operator("ana@desk");
        if typed.is_some() {
            console = console.person(&mut input);
        }
        let exit = run(words(line), &mut console, |_| async { Ok(backend) }).await;
        Said {
            exit,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }

    /// Ends the next message of `queue` as dead: FAILURE or DEAD, for this reason.
    pub(crate) async fn bury_next(&self, queue: &str, state: State, reason: &str) {
        let (consumer, delivery) = self.claim_raw(queue).await;
        let record = Message::decode(&delivery.body).ok().map(|message| {
            let mut record = Record::new(message.id, &message.task, &delivery.queue, state);
            record.error = Some(Failure::new("Error", reason));
            record
        });
        let verdict = Verdict {
            receipt: delivery.receipt,
            end: End::Dead {
                state,
                reason: reason.into(),
            },
            record,
            event: None,
        };
        consumer
            .finish(&delivery.queue, vec![verdict])
            .await
            .unwrap();
    }

    /// A worker called `node` that gives `active` as its answer to what it runs, and pongs; or is silent.
    pub(crate) async fn worker(&self, node: &str, active: Option<Value>) {
        self.answering(node, &["celery"], move |command| match command {
            Command::Active => active.clone(),
            _ => active.is_some().then(|| serde_json::json!({"ok": "pong"})),
        })
        .await;
    }

    /// A worker called `node` at these queues that answers so, or not at all.
    pub(crate) async fn answering(
        &self,
        node: &str,
        queues: &[&str],
        answer: impl Fn(Command) -> Option<Value> + Send + 'static,
    ) {
        let card = card(node, queues.iter().map(|q| q.parse().unwrap()).collect());
        self.0.register(&card, &[], LONG).await.unwrap();
        let mut questions = self.0.listen().await.unwrap();
        let (broker, node) = (self.0.clone(), node.to_owned());
        tokio::spawn(async move {
            while let Ok(request) = questions.next().await {
                let answered = request
                    .is_for(&node)
                    .then(|| answer(request.command.clone()));
                let Some(body) = answered.flatten() else {
                    continue;
                };
                let reply = Reply {
                    id: request.id.clone(),
                    node: node.clone(),
                    body,
                    notices: Vec::new(),
                };
                broker.reply(&request, reply).await.unwrap();
            }
        });
    }

    /// Publishes `tasks`, offered by a worker that is gone again unless `live`.
    pub(crate) async fn publish(&self, tasks: &[PublishedTask], live: bool) {
        let names = tasks.iter().map(|task| task.name.clone());
        let queues: std::collections::BTreeSet<_> = tasks.iter().map(|t| t.queue.clone()).collect();
        let card = WorkerCard {
            tasks: names.collect(),
            ..card("publisher@bar", queues.into_iter().collect())
        };
        self.0.register(&card, tasks, LONG).await.unwrap();
        if !live {
            self.0.withdraw(&card.id).await.unwrap();
        }
    }

    /// Puts `record` there, as it is.
    pub(crate) async fn keep(&self, record: Record) {
        let outgoing = Outgoing {
            id: record.id,
            body: Message::new(&record.task).encode().unwrap().into(),
            priority: 0,
            due: Due::Now,
            record: Some(record.clone()),
            once: None,
            event: None,
        };
        self.0
            .enqueue(&record.queue, &[outgoing], LONG)
            .await
            .unwrap();
    }

    /// Takes the next message of `queue`.
    pub(crate) async fn claim(&self, queue: &str) -> (Arc<dyn Consumer>, Delivery, Message) {
        let (consumer, delivery) = self.claim_raw(queue).await;
        let message = Message::decode(&delivery.body).unwrap();
        (consumer, delivery, message)
    }

    /// As [`claim`](Self::claim), whatever it is.
    async fn claim_raw(&self, queue: &str) -> (Arc<dyn Consumer>, Delivery) {
        let options = ConsumerOptions {
            queues: vec![queue.parse::<QueueName>().unwrap().into()],
            order: Order::default(),
            lease: Duration::from_secs(60),
            node: "stage".into(),
        };
        let consumer = self.0.consume(options).await.unwrap();
        loop {
            let claimed = consumer.claim(1, Duration::from_secs(1)).await.unwrap();
            if let Some(delivery) = claimed.into_iter().next() {
                return (consumer, delivery);
            }
        }
    }

    /// Ends the next message of `queue` with the record that `end` makes of its first one.
    pub(crate) async fn end_next(&self, queue: &str, end: impl FnOnce(&mut Record)) {
        let (consumer, delivery, message) = self.claim(queue).await;
        let mut record = Record::new(
            message.id,
            &message.task,
            &delivery.queue,
            taskq_core::State::Success,
        );
        record.created = Some(1_767_225_600_000);
        record.finished = Some(1_767_225_601_500);
        record.attempts = 1;
        end(&mut record);
        let verdict = Verdict {
            receipt: delivery.receipt,
            end: End::Done,
            record: Some(record),
            event: None,
        };
        consumer
            .finish(&delivery.queue, vec![verdict])
            .await
            .unwrap();
    }
}

/// What was said, each time in it replaced by one and the same.
pub(crate) fn timeless(said: &Said) -> String {
    const ANY: &str = "2026-01-01T00:00:00.000Z";
    let mut text = said.to_string();
    let is_time = |part: &str| {
        let bytes = part.as_bytes();
        let shape = |(a, b): (&u8, &u8)| a == b || a.is_ascii_digit() && b.is_ascii_digit();
        bytes.len() == ANY.len() && bytes.iter().zip(ANY.as_bytes()).all(shape)
    };
    for at in 0..text.len().saturating_sub(ANY.len() - 1) {
        if text.get(at..at + ANY.len()).is_some_and(is_time) {
            text.replace_range(at..at + ANY.len(), ANY);
        }
    }
    text
}

fn card(node: &str, queues: Vec<QueueName>) -> WorkerCard {
    WorkerCard {
        id: TaskId::random().to_string(),
        node: node.into(),
        host: "bar".into(),
        pid_space: String::new(),
        pid: 7,
        queues,
        slots: 1,
        tasks: Vec::new(),
        started: 0,
        lease_ms: 10_000,
        version: "0".into(),
        active: 0,
        processed: 0,
        stopping: false,
        renewed: 0,
    }
}
