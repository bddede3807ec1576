//! Short calls of many callers (records, inspect, control): a small pool of connections, made when needed.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolError, Runtime};
use redis::{AsyncConnectionConfig, Cmd, Value};

use super::endpoint::Endpoint;
use super::link::{Answer, Link, connect_error};
use crate::error::{Error, ErrorKind};

const CONNECTIONS: usize = 8;
const WAIT: Duration = Duration::from_secs(3);

/// The pool.
pub(super) struct Short {
    endpoint: Arc<Endpoint>,
    pool: Pool,
}

impl Short {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Result<Self, Error> {
        let info = endpoint.client.get_connection_info().clone();
        // Our own deadline stands around each call.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(WAIT));
        let built = Manager::new_with_config(info, config)
            .map_err(|e| e.to_string())
            .and_then(|manager| {
                Pool::builder(manager)
                    .max_size(CONNECTIONS)
                    .runtime(Runtime::Tokio1)
                    .wait_timeout(Some(WAIT))
                    .create_timeout(Some(WAIT))
                    .recycle_timeout(Some(WAIT))
                    .build()
                    .map_err(|e| e.to_string())
            });
        let pool = built.map_err(Error::invalid)?;
        Ok(Self {
            endpoint: endpoint.clone(),
            pool,
        })
    }

    /// One command.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, Error> {
        let mut answers = self.all(std::slice::from_ref(command)).await?;
        Ok(answers.pop().unwrap_or(Value::Nil))
    }

    /// Several commands in one write; the first error of any is the answer.
    pub(super) async fn all(&self, commands: &[Cmd]) -> Result<Vec<Value>, Error> {
        self.each(commands).await?.into_iter().collect()
    }

    /// Several commands in one write, each with its own answer.
    pub(super) async fn each(&self, commands: &[Cmd]) -> Result<Vec<Answer>, Error> {
        let lost = |why: String| {
            Error::new(
                ErrorKind::Unreachable,
                format!(
                    "the broker at {} can not be reached: {why}",
                    self.endpoint.address
                ),
            )
        };
        let pooled = self.pool.get().await.map_err(|e| match e {
            PoolError::Backend(error) => connect_error(&self.endpoint.address, error),
            other => lost(other.to_string()),
        })?;
        let mut link = Link::around(&self.endpoint, WAIT, (*pooled).clone());
        match link.all(commands, Duration::ZERO).await {
            Ok(answers) => Ok(answers),
            Err(error) => {
                // Its next user would wait behind our unanswered call.
                drop(deadpool_redis::Connection::take(pooled));
                Err(error)
            }
        }
    }
}

impl std::fmt::Debug for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Short")
            .field("endpoint", &self.endpoint.address)
            .finish_non_exhaustive()
    }
}
