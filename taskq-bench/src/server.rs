//! The private Redis, and the two ways to it: taskq's own, and the redis crate's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use private_redis::RedisServer;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use taskq_client::Client;
use taskq_core::QueueName;
use taskq_core::broker::{self, Backend, Depth};

use crate::error::Error;
use crate::tasks::QUEUE;

/// Whatever Redis is asked, it answers within this time.
const ANSWERS: Duration = Duration::from_secs(60);

/// A Redis that nobody else uses, gone with this value.
#[derive(Debug)]
pub(crate) struct Server {
    redis: RedisServer,
    /// For what taskq is measured against.
    pub(crate) connection: MultiplexedConnection,
    backend: Arc<dyn Backend>,
    pub(crate) queue: QueueName,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Error> {
        require("redis-server")?;
        let redis = RedisServer::try_start().map_err(|why| {
            Error::Unavailable(format!("the private Redis does not start: {why}"))
        })?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWERS))
            .set_response_timeout(Some(ANSWERS));
        let connection = redis::Client::open(redis.url())?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self {
            backend: broker::connect(&redis.url()).await?,
            queue: QueueName::new(QUEUE)?,
            connection,
            redis,
        })
    }

    pub(crate) fn url(&self) -> String {
        self.redis.url()
    }

    /// A client with the defaults.
    pub(crate) fn client(&self) -> Client {
        Client::builder().over(Arc::clone(&self.backend))
    }

    /// Forgets everything.
    pub(crate) async fn clear(&mut self) -> Result<(), Error> {
        let () = redis::cmd("FLUSHALL")
            .arg("SYNC")
            .query_async(&mut self.connection)
            .await?;
        Ok(())
    }

    /// What lies in the queue of the tasks that are measured.
    pub(crate) async fn depth(&self) -> Result<Depth, Error> {
        Ok(self.backend.depth(&self.queue).await?)
    }

    /// Whether a worker has registered.
    pub(crate) async fn has_worker(&self) -> Result<bool, Error> {
        Ok(!self.backend.workers().await?.is_empty())
    }

    /// The CPU time it has taken since it started, in seconds.
    pub(crate) async fn cpu(&mut self) -> Result<f64, Error> {
        let user: f64 = self.info("cpu", "used_cpu_user").await?;
        let system: f64 = self.info("cpu", "used_cpu_sys").await?;
        Ok(user + system)
    }

    pub(crate) async fn version(&mut self) -> Result<String, Error> {
        self.info("server", "redis_version").await
    }

    async fn info<T: std::str::FromStr>(&mut self, part: &str, name: &str) -> Result<T, Error> {
        let all: String = redis::cmd("INFO")
            .arg(part)
            .query_async(&mut self.connection)
            .await?;
        let value = all
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .and_then(|v| v.trim().parse().ok())
            .ok_or_else(|| Error::failed(format!("the private Redis tells no {name}")))
    }
}

/// A program must be in PATH.
fn require(program: &str) -> Result<(), Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |folder: &Path| folder.join(program).is_file();
    if std::env::split_paths(&path).any(|folder| there(&folder)) {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "there is no {program} in PATH; install Redis 6.2 or later, or Valkey's (Debian: apt-get install redis-server)"
    )))
}
