//! Asking the running workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use taskq_core::broker::{Depth, ServerInfo};
use taskq_core::control::{Command, Request};
use taskq_core::{Error, QueueName, TaskId};
use tokio::time::{Instant, timeout_at};

use crate::client::Client;

/// Answers of more nodes than this are not collected.
const MOST_NODES: usize = 10_000;
/// A longer timeout counts as this.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// What the workers answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// The answers by node name, in the shape of the command.
    pub replies: BTreeMap<String, Value>,
    /// The nodes that should have answered and did not, by name.
    pub silent: Vec<String>,
    /// What they say beside their answers, by node name: what these leave out, and why.
    pub notices: BTreeMap<String, Vec<String>>,
}

impl Client {
    /// Every queue somebody sent to or listens at, by name.
    ///
    /// # Errors
    /// When the broker can not be reached.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.backend.queues().await
    }

    /// What lies in `queue`: how much of what, for how long, and whether it is paused.
    ///
    /// # Errors
    /// When the broker can not be reached.
    pub async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        self.backend.depth(queue).await
    }

    /// What the broker is, how fast it answers, and what its operator should know about its settings.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// let client = taskq_client::Client::connect("memory://").await?;
    /// assert_eq!(client.server().await?.name, "memory");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be reached.
    pub async fn server(&self) -> Result<ServerInfo, Error> {
        self.backend.server().await
    }

    /// Asks all live workers, or the nodes named in `destinations`.
    ///
    /// Returns as soon as all of them have answered, at the latest after `timeout`. With no live worker and none
    /// named it returns at once, with nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use std::time::Duration;
    /// use taskq_client::{Client, Command};
    /// let client = Client::connect("memory://").await?;
    /// let answers = client.ask(Command::Ping, &[], Duration::from_secs(1)).await?;
    /// assert!(answers.replies.is_empty() && answers.silent.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be reached, or the connection the answers come over breaks.
    pub async fn ask(
        &self,
        command: Command,
        destinations: &[String],
        timeout: Duration,
    ) -> Result<Answers, Error> {
        let mut awaited: BTreeSet<String> = if destinations.is_empty() {
            let workers = self.workers().await?;
            workers.into_iter().map(|card| card.node).collect()
        } else {
            destinations.iter().cloned().collect()
        };
        let (mut replies, mut notices) = (BTreeMap::new(), BTreeMap::new());
        if awaited.is_empty() {
            return Ok(Answers::default());
        }
        let request = Request {
            id: TaskId::random().to_string(),
            reply_to: String::new(),
            destination: destinations.to_vec(),
            command,
        };
        let id = request.id.clone();
        let mut answers = self.backend.ask(request).await?;
        let until = Instant::now() + timeout.min(LONGEST_WAIT);
        while !awaited.is_empty() && replies.len() < MOST_NODES {
            let Ok(answer) = timeout_at(until, answers.next()).await else {
                break;
            };
            let reply = answer?;
            if reply.id == id {
                awaited.remove(&reply.node);
                if !reply.notices.is_empty() {
                    notices.insert(reply.node.clone(), reply.notices);
                }
                replies.insert(reply.node, reply.body);
            }
        }
        Ok(Answers {
            replies,
            silent: awaited.into_iter().collect(),
            notices,
        })
    }
}
