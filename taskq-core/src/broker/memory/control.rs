//! Questions to every listener, answers to the one who asked.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc};

use super::{MemoryBroker, Shared};
use crate::broker::{Control, DeadHandle, Paused, Replies, Requests};
use crate::control::{Reply, Request};
use crate::error::{Error, ErrorKind};
use crate::event::cut_text;
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocation;

/// So many questions and answers may wait for a slow reader.
pub(super) const BACKLOG: usize = 1_024;

#[async_trait]
impl Control for MemoryBroker {
    async fn ask(&self, mut request: Request) -> Result<Box<dyn Replies>, Error> {
        let address = TaskId::random().to_string();
        request.reply_to.clone_from(&address);
        let (to, answers) = mpsc::channel(BACKLOG);
        self.shared.lock().askers.insert(address.clone(), to);
        // Nobody listening is no error: the question has no answer then.
        drop(self.shared.questions.send(request));
        Ok(Box::new(Answers {
            shared: self.shared.clone(),
            address,
            answers,
        }))
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        Ok(Box::new(Questions(self.shared.questions.subscribe())))
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        let store = self.shared.lock();
        // The asker may be gone by now; that is its affair.
        let Some(asker) = store.askers.get(&request.reply_to) else {
            return Ok(());
        };
        match asker.try_send(reply) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::new(
                ErrorKind::Refused,
                format!("the asker of {} has {BACKLOG} answers unread", request.id),
            )),
        }
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        let paused = Paused {
            by: cut_text(by).into(),
            reason: cut_text(reason).into(),
            since: self.shared.clock.now_ms(),
        };
        self.shared.lock().pause(queue, paused)
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        let mut store = self.shared.lock();
        let paused = store.queues.get_mut(queue).and_then(|q| q.paused.take());
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(paused.is_some())
    }

    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        let now = self.shared.clock.now_ms();
        let replayed = self.shared.lock().replay(queue, dead, now)?;
        self.shared.bell.notify_waiters();
        Ok(replayed)
    }

    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.shared.lock().discard(queue, dead)
    }

    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        self.shared.lock().revoke(queue, what, now)
    }

    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        let now = self.shared.clock.now_ms();
        let marked = self.shared.lock().mark_revoked(queue, ids, now)?;
        self.shared.bell.notify_waiters();
        Ok(marked)
    }

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        let now = self.shared.clock.now_ms();
        let purged = self.shared.lock().purge(queue, most, now);
        self.shared.bell.notify_waiters();
        Ok(purged)
    }
}

struct Answers {
    shared: Arc<Shared>,
    address: String,
    answers: mpsc::Receiver<Reply>,
}

#[async_trait]
impl Replies for Answers {
    async fn next(&mut self) -> Result<Reply, Error> {
        let ended = || Error::new(ErrorKind::Unreachable, "the broker hears no more answers");
        self.answers.recv().await.ok_or_else(ended)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.shared.lock().askers.remove(&self.address);
    }
}

struct Questions(broadcast::Receiver<Request>);

#[async_trait]
impl Requests for Questions {
    async fn next(&mut self) -> Result<Request, Error> {
        self.0.recv().await.map_err(|e| {
            let text = format!("questions were missed ({e}): listen anew");
            Error::new(ErrorKind::Unreachable, text)
        })
    }
}
