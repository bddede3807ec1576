//! A broker around another one, for test doubles: it says what is otherwise, and all else passes on.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Accepted, Backend, Broker, Consumer, ConsumerOptions, Control, DeadHandle, DeadMessage,
    DelayedMessage, Depth, Found, Inspect, Outgoing, Replies, Requests, Results, ServerInfo,
    Totals, Wanted, Watch,
};
use crate::control::{Reply, Request};
use crate::error::Error;
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::{Revocation, Revocations};

/// Writes [`Wraps`], whose methods all pass on, and makes every face of a broker out of it.
macro_rules! wraps {
    ($(#[$about:meta])* $wraps:ident: $($face:ident {
        $($name:ident($($given:ident: $kind:ty),*) -> $answer:ty;)*
    })*) => {
        $(#[$about])*
        #[async_trait]
        pub trait $wraps: Debug + Send + Sync + 'static {
            /// The broker inside.
            fn inner(&self) -> &dyn Backend;

            $($(
                #[doc = concat!("In the place of [`", stringify!($face), "::", stringify!($name), "`].")]
                async fn $name(&self, $($given: $kind),*) -> Result<$answer, Error> {
                    self.inner().$name($($given),*).await
                }
            )*)*
        }

        $(
            #[async_trait]
            impl<W: $wraps> $face for W {
                $(async fn $name(&self, $($given: $kind),*) -> Result<$answer, Error> {
                    $wraps::$name(self, $($given),*).await
                })*
            }
        )*
    };
}

wraps! {
    /// A broker around another one. What an implementation leaves out passes on to the one [inside](Self::inner).
    ///
    /// Before it passes a call on a test double can fail or hold it; after that it can lose the answer.
    ///
    /// ```
    /// use async_trait::async_trait;
    /// use taskq_core::broker::memory::MemoryBroker;
    /// use taskq_core::broker::{Backend, Depth, Inspect, Wraps};
    /// use taskq_core::{Error, ErrorKind, QueueName};
    ///
    /// #[derive(Debug, Default)]
    /// struct Forgetful(MemoryBroker);
    ///
    /// #[async_trait]
    /// impl Wraps for Forgetful {
    ///     fn inner(&self) -> &dyn Backend {
    ///         &self.0
    ///     }
    ///
    ///     async fn depth(&self, _: &QueueName) -> Result<Depth, Error> {
    ///         Err(Error::new(ErrorKind::Refused, "it lost count"))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let broker = Forgetful::default();
    /// let queue = QueueName::default();
    /// assert!(Inspect::depth(&broker, &queue).await.is_err());
    /// assert!(Inspect::dead(&broker, &queue, 0, 1).await.is_ok());
    /// # }
    /// ```
    Wraps:
    Broker {
        enqueue(queue: &QueueName, batch: &[Outgoing], deadline: Duration) -> Accepted;
        consume(options: ConsumerOptions) -> Arc<dyn Consumer>;
        register(card: &WorkerCard, tasks: &[PublishedTask], ttl: Duration) -> ();
        withdraw(worker: &str) -> ();
    }
    Results {
        record(id: TaskId, queue: Option<&QueueName>) -> Option<Record>;
        watch(wanted: Vec<Wanted>, within: Duration) -> Box<dyn Watch>;
    }
    Inspect {
        workers() -> Vec<WorkerCard>;
        tasks() -> Vec<PublishedTask>;
        task(name: &str) -> Option<PublishedTask>;
        queues() -> Vec<QueueName>;
        depth(queue: &QueueName) -> Depth;
        dead(queue: &QueueName, skip: usize, limit: usize) -> Vec<DeadMessage>;
        delayed(queue: &QueueName, limit: usize) -> Vec<DelayedMessage>;
        find(queue: &QueueName, id: TaskId) -> Found;
        revoked(queue: &QueueName) -> Arc<Revocations>;
        totals(queue: &QueueName) -> Totals;
        events(after: &EventPosition, wait: Duration) -> EventPage;
        server() -> ServerInfo;
    }
    Control {
        ask(request: Request) -> Box<dyn Replies>;
        listen() -> Box<dyn Requests>;
        reply(request: &Request, reply: Reply) -> ();
        pause(queue: &QueueName, by: &str, reason: &str) -> ();
        resume(queue: &QueueName) -> bool;
        revoke(queue: &QueueName, what: &[Revocation]) -> ();
        mark_revoked(queue: &QueueName, ids: &[TaskId]) -> Vec<TaskId>;
        purge(queue: &QueueName, most: usize) -> usize;
        replay(queue: &QueueName, dead: &[DeadHandle]) -> usize;
        discard(queue: &QueueName, dead: &[DeadHandle]) -> usize;
    }
}
