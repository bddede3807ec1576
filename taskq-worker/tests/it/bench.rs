//! A broker, a worker at it, and ways to wait for what becomes of messages.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Backend, Broker, Due, Outgoing, Results};
use taskq_worker::task::{Registry, TaskDef};
use taskq_worker::{
    Builder, CancellationToken, Message, QueueName, Record, RunError, State, TaskId, Worker,
};
use tokio::task::JoinHandle;

use crate::flaky::Flaky;

/// No wait of a test is longer; what takes longer has failed. A machine may stand still for seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) broker: MemoryBroker,
    pub(crate) stop: CancellationToken,
    worker: Option<JoinHandle<Result<(), RunError>>>,
}

impl Bench {
    /// A worker of `tasks` at a broker of its own.
    pub(crate) fn start(tasks: &[&'static TaskDef]) -> Self {
        Self::with(MemoryBroker::new(), tasks, |b| b)
    }

    /// The same, built as `configure` says.
    pub(crate) fn with(
        broker: MemoryBroker,
        tasks: &[&'static TaskDef],
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let backend = Arc::new(broker.clone());
        Self::over(broker, backend, tasks, configure)
    }

    /// The same, its worker before the faults of `flaky`.
    pub(crate) fn at(
        flaky: &Flaky,
        tasks: &[&'static TaskDef],
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let backend = Arc::new(flaky.clone());
        Self::over(flaky.inner.clone(), backend, tasks, configure)
    }

    fn over(
        broker: MemoryBroker,
        backend: Arc<dyn Backend>,
        tasks: &[&'static TaskDef],
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let stop = CancellationToken::new();
        let builder = Worker::builder()
            .backend(backend)
            .registry(Registry::from_defs(tasks.iter().copied()).unwrap())
            .node("w1@test")
            .concurrency(8)
            .stop(stop.clone());
        let worker = configure(builder).build().unwrap();
        Self {
            broker,
            stop,
            worker: Some(tokio::spawn(worker.run())),
        }
    }

    pub(crate) async fn send(&self, message: Message) -> TaskId {
        send(&self.broker, message).await
    }

    /// The record of `id` once it is final.
    pub(crate) async fn end_of(&self, id: TaskId) -> Record {
        self.record_when(id, |r| r.state.is_final()).await
    }

    /// The record of `id` once it is as asked.
    pub(crate) async fn record_when(&self, id: TaskId, is: impl Fn(&Record) -> bool) -> Record {
        until(async || self.broker.record(id, None).await.unwrap().filter(&is)).await
    }

    /// Stops the worker: warm.
    pub(crate) async fn stop(&mut self) -> Result<(), RunError> {
        self.stop.cancel();
        self.end().await
    }

    /// Waits for the worker's end.
    pub(crate) async fn end(&mut self) -> Result<(), RunError> {
        let worker = self.worker.take().expect("ends once");
        tokio::time::timeout(PATIENCE, worker)
            .await
            .expect("the worker ends")
            .expect("the worker does not panic")
    }

    /// Ends the worker as a kill would.
    pub(crate) async fn kill(&mut self) {
        let worker = self.worker.take().expect("ends once");
        worker.abort();
        assert!(worker.await.unwrap_err().is_cancelled());
    }
}

/// Sends as a client does: with a QUEUED record, unless results are off.
pub(crate) async fn send(broker: &(impl Broker + ?Sized), message: Message) -> TaskId {
    let queue = celery();
    let outgoing = Outgoing {
        id: message.id,
        body: message.encode().unwrap().into(),
        priority: message.priority,
        due: Due::Now,
        record: (!message.ignore_result)
            .then(|| Record::new(message.id, &message.task, &queue, State::Queued)),
        once: None,
        event: None,
    };
    broker.enqueue(&queue, &[outgoing], PATIENCE).await.unwrap();
    message.id
}

/// Asks until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("what the test waits for comes")
}

pub(crate) fn celery() -> QueueName {
    QueueName::default()
}

pub(crate) fn json(value: serde_json::Value) -> Box<RawValue> {
    to_raw_value(&value).unwrap()
}

/// The error of a record as `type: message`.
pub(crate) fn error_of(record: &Record) -> String {
    let error = record.error.as_ref().expect("an error");
    format!("{}: {}", error.kind, error.message)
}
