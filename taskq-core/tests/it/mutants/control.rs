//! Questions and answers through the mutant.

use async_trait::async_trait;
use taskq_core::TaskId;
use taskq_core::broker::{Control, DeadHandle, Inspect, Replies, Requests};
use taskq_core::control::{Reply, Request};
use taskq_core::revocation::Revocation;
use taskq_core::{Error, ErrorKind, QueueName};

use super::{Flaw, Mutant};

#[async_trait]
impl Control for Mutant {
    async fn ask(&self, mut request: Request) -> Result<Box<dyn Replies>, Error> {
        self.called("ask");
        if self.flaw == Flaw::LosesTheDestination {
            request.destination.clear();
        }
        let id = request.id.clone();
        let inner = self.inner.ask(request).await?;
        let broker = self.clone();
        Ok(Box::new(Asked { inner, id, broker }))
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        self.called("listen");
        let inner = self.inner.listen().await?;
        let mut notes = self.notes();
        notes.listeners += 1;
        let deaf = self.flaw == Flaw::AsksOneListener && notes.listeners > 1;
        let broker = self.clone();
        Ok(Box::new(Listener {
            inner,
            deaf,
            broker,
        }))
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        self.called("reply");
        match self.flaw {
            Flaw::LosesReplies => return Ok(()),
            Flaw::FailsOnGoneAskers if self.notes().gone.contains(&request.id) => {
                return Err(Error::new(ErrorKind::Unreachable, "nobody asks"));
            }
            Flaw::RepliesToEverybody => {
                let all = self.notes().questions.clone();
                for other in all.iter().filter(|q| q.id != request.id) {
                    self.inner.reply(other, reply.clone()).await?;
                }
            }
            _ => {}
        }
        self.inner.reply(request, reply).await
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        self.called("pause");
        match self.flaw {
            Flaw::PausesNothing => return Ok(()),
            Flaw::PausesEveryQueue => {
                for other in self.inner.queues().await? {
                    self.inner.pause(&other, by, reason).await?;
                }
            }
            Flaw::PauseGivesUpWhatIsHeld => {
                let holders = self.notes().consumers.clone();
                for holder in holders {
                    holder.close().await?;
                }
            }
            _ => {}
        }
        self.inner.pause(&self.spelled(queue), by, reason).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.called("resume");
        self.notes().resumes += 1;
        let was_paused = self.inner.resume(&self.spelled(queue)).await?;
        Ok(was_paused || self.flaw == Flaw::SaysItWasPaused)
    }

    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error> {
        self.called("revoke");
        self.bent_revoke(&self.spelled(queue), what).await
    }

    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        self.called("mark_revoked");
        self.bent_mark(&self.spelled(queue), ids).await
    }

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        self.called("purge");
        self.bent_purge(&self.spelled(queue), most).await
    }

    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.called("replay");
        self.bent_replay(&self.spelled(queue), dead).await
    }

    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.called("discard");
        self.bent_discard(&self.spelled(queue), dead).await
    }
}

struct Asked {
    inner: Box<dyn Replies>,
    id: String,
    broker: Mutant,
}

#[async_trait]
impl Replies for Asked {
    async fn next(&mut self) -> Result<Reply, Error> {
        self.inner.next().await
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.broker.notes().gone.insert(self.id.clone());
    }
}

struct Listener {
    inner: Box<dyn Requests>,
    deaf: bool,
    broker: Mutant,
}

#[async_trait]
impl Requests for Listener {
    async fn next(&mut self) -> Result<Request, Error> {
        if self.deaf {
            std::future::pending::<()>().await;
        }
        let request = self.inner.next().await?;
        self.broker.notes().questions.push(request.clone());
        Ok(request)
    }
}
