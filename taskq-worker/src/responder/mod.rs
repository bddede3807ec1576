//! The responder: answers what the fleet's operators ask this worker, and does what they tell it.
//!
//! One file per group of commands. What a file answers is the body of the reply; an error becomes `{"error": …}`.

mod limits;
pub(crate) mod pool;
mod questions;
mod queues;
mod report;
mod revoke;
mod shown;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use taskq_core::broker::Backend;
use taskq_core::control::{Command, Done, Reply, Request};
use taskq_core::task::Registry;
use taskq_core::{Error, ErrorKind};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::about::About;
use crate::deadline::{CALL, within};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::supervisor::last_words;
use crate::trouble::Trouble;

/// So many commands are answered beside each other; those behind them wait.
const AT_ONCE: usize = 32;
/// How long the answer to a command may take, what it asks of the broker included: longer than a call of the broker, so
/// that what came of the call can be said.
const ANSWER: Duration = Duration::from_secs(7);

/// Answers for one worker.
#[derive(Debug, Clone)]
pub(crate) struct Responder {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) node: Arc<str>,
    pub(crate) about: Arc<About>,
    pub(crate) registry: Registry,
    pub(crate) limits: Arc<Limits>,
    pub(crate) pool: pool::Pool,
    /// Begins the warm stop of the worker.
    pub(crate) stopping: CancellationToken,
}

impl Responder {
    /// Listens and answers; listens anew after trouble.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("listening for questions");
        // What is being answered goes on while the listener is made anew.
        let mut answers = JoinSet::new();
        let room = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            if let Err(e) = self.listen(&mut trouble, &mut answers, &room).await {
                let pause = trouble.failed(&e);
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn listen(
        &self,
        trouble: &mut Trouble,
        answers: &mut JoinSet<()>,
        room: &Arc<Semaphore>,
    ) -> Result<(), Error> {
        let mut requests = within(CALL, "listen", self.backend.listen()).await?;
        trouble.over();
        loop {
            let request = requests.next().await?;
            if !request.is_for(&self.node) {
                continue;
            }
            while answers.try_join_next().is_some() {}
            // An error would mean a closed semaphore; this one never is.
            let permit = Arc::clone(room).acquire_owned().await.ok();
            let responder = self.clone();
            answers.spawn(async move {
                responder.respond(&request).await;
                drop(permit);
            });
        }
    }

    async fn respond(&self, request: &Request) {
        let mut notices = Vec::new();
        let reply = Reply {
            id: request.id.clone(),
            node: self.node.to_string(),
            body: self.body(&request.command, &mut notices).await,
            notices,
        };
        // Who asked may be gone: the next question is none the worse for it.
        if let Err(e) = within(CALL, "reply", self.backend.reply(request, reply)).await {
            tracing::warn!(
                "an answer to {:?} did not get through: {e}",
                request.command
            );
        }
        if request.command == Command::Shutdown {
            tracing::info!("told to stop");
            self.stopping.cancel();
        }
    }

    /// The answer, whatever happens: an error, a panic and the end of patience are answers too.
    async fn body(&self, command: &Command, notices: &mut Vec<String>) -> Value {
        let answer = AssertUnwindSafe(self.answer(command, notices)).catch_unwind();
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(Ok(body))) => body,
            Ok(Ok(Err(error))) => refused(error.to_string()),
            Ok(Err(panic)) => {
                let words = last_words(&*panic);
                tracing::error!("answering {command:?} panicked: {words}");
                refused(format!("the answer panicked ({words}); please report it"))
            }
            Err(_) => refused(format!(
                "it took longer than {} s; what was begun may go on: ask again",
                ANSWER.as_secs()
            )),
        }
    }

    /// What it leaves out is said in `notices`.
    async fn answer(&self, command: &Command, notices: &mut Vec<String>) -> Result<Value, Error> {
        match command {
            Command::Ping => Ok(json!({"ok": "pong"})),
            Command::Active => questions::active(self, notices).await,
            Command::Registered => Ok(json!(self.about.registered)),
            Command::Stats => questions::stats(self),
            Command::Reserved => questions::reserved(self, notices).await,
            Command::QueryTask { ids } => questions::query_task(self, ids, notices).await,
            Command::Conf => Ok(Value::Object(self.about.conf())),
            Command::Report => Ok(report::report(self).await),

            Command::Scheduled => queues::scheduled(self, notices).await,
            Command::Revoked => queues::revoked(self, notices).await,
            Command::ActiveQueues => queues::active_queues(self, notices).await,

            Command::Revoke {
                what,
                queue,
                terminate,
            } => Ok(revoke::order(self, what, queue.as_ref(), *terminate)),

            Command::AddConsumer { queue, weight } => {
                Ok(json!(self.pool.add_consumer(queue, *weight).await))
            }
            Command::CancelConsumer { queue } => Ok(json!(self.pool.cancel_consumer(queue).await)),
            Command::PoolGrow { n } => Ok(json!(self.pool.grow(*n))),
            Command::PoolShrink { n } => Ok(json!(self.pool.shrink(*n))),

            Command::TimeLimit {
                task,
                soft_ms,
                hard_ms,
            } => done(limits::order(self, task, *soft_ms, *hard_ms)),

            Command::Shutdown => done(Done::Ok("it stops once its tasks have ended".into())),
            Command::Unknown(name) => done(Done::Error(format!(
                "this worker runs taskq {version}, which does not know the command `{name}` as it was asked: \
                 update the worker, or ask with taskq {version}",
                version = env!("CARGO_PKG_VERSION"),
            ))),
        }
    }
}

/// What an order came to, as the body of its reply.
fn done(done: Done) -> Result<Value, Error> {
    body(serde_json::to_value(done))
}

/// A body of a reply, if it could be written as one.
fn body(written: serde_json::Result<Value>) -> Result<Value, Error> {
    written.map_err(|e| {
        let text = format!("the answer can not be written as JSON: {e}");
        Error::new(ErrorKind::Protocol, text)
    })
}

fn refused(sentence: String) -> Value {
    json!({"error": sentence})
}
