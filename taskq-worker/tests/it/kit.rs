//! The bench for what is decided about a delivery: the test kit. Nothing runs by itself, and no wait takes time.

use taskq_worker::task::{Registry, TaskDef};
use taskq_worker::testing::{Drained, TestBroker};
use taskq_worker::{Builder, Message, Record, TaskId};
use tokio::task::JoinHandle;

use crate::bench::{send, until};

pub(crate) struct Kit {
    pub(crate) broker: TestBroker,
}

impl Kit {
    /// A worker of `tasks` at a broker of its own.
    pub(crate) fn of(tasks: &[&'static TaskDef]) -> Self {
        Self::with(tasks, |b| b)
    }

    /// The same, built as `configure` says.
    pub(crate) fn with(
        tasks: &[&'static TaskDef],
        configure: impl FnOnce(Builder) -> Builder + 'static,
    ) -> Self {
        let registry = Registry::from_defs(tasks.iter().copied()).unwrap();
        let worker = move |b: Builder| configure(b.registry(registry).node("w1@test"));
        let broker = TestBroker::builder().worker(worker).build().unwrap();
        Self { broker }
    }

    pub(crate) async fn send(&self, message: Message) -> TaskId {
        send(&*self.broker.backend(), message).await
    }

    /// What the record of `message` says after one attempt.
    pub(crate) async fn step_of(&self, message: Message) -> Record {
        let id = self.send(message).await;
        let ran = self.broker.step().await.expect("it is due");
        assert_eq!(ran.id, id);
        self.record(id).await
    }

    /// What it says when nothing is due any more, however long that takes.
    pub(crate) async fn end_of(&self, message: Message) -> Record {
        let id = self.send(message).await;
        self.broker.drain_all().await;
        self.record(id).await
    }

    /// The record of `id` once it is as asked, while a drain runs beside.
    pub(crate) async fn record_when(&self, id: TaskId, is: impl Fn(&Record) -> bool) -> Record {
        until(async || self.broker.record(id).await.filter(&is)).await
    }

    /// Runs what is due beside the test.
    pub(crate) fn drains(&self) -> JoinHandle<Drained> {
        let broker = self.broker.clone();
        tokio::spawn(async move { broker.drain().await })
    }

    async fn record(&self, id: TaskId) -> Record {
        self.broker.record(id).await.expect("a record")
    }
}
