//! The private Redis or file, and the two ways to it: taskq's own, and that of its own crate.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use private_redis::RedisServer;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use taskq_client::Client;
use taskq_core::broker::{self, Backend, Depth};
use taskq_core::{QueueName, State, TaskId};

use crate::args::{Kind, Sync};
use crate::error::Error;
use crate::records::Records;
use crate::sqlite::File;
use crate::tasks::QUEUE;

/// Whatever Redis is asked, it answers within this time.
const ANSWERS: Duration = Duration::from_secs(60);

/// A broker that nobody else uses, gone with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) store: Store,
    backend: Arc<dyn Backend>,
    queue: QueueName,
}

/// What is behind it.
#[derive(Debug)]
pub(crate) enum Store {
    Redis {
        redis: RedisServer,
        /// For what taskq is measured against.
        connection: MultiplexedConnection,
    },
    Sqlite(File),
}

impl Store {
    async fn redis() -> Result<Self, Error> {
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
        Ok(Self::Redis { redis, connection })
    }

    fn url(&self) -> String {
        match self {
            Self::Redis { redis, .. } => redis.url(),
            Self::Sqlite(file) => file.url(),
        }
    }
}

impl Server {
    pub(crate) async fn start(kind: Kind, sync: Sync) -> Result<Self, Error> {
        let store = match kind {
            Kind::Redis => Store::redis().await?,
            Kind::Sqlite => Store::Sqlite(File::make(sync)?),
        };
        Ok(Self {
            backend: broker::connect(&store.url()).await?,
            queue: QueueName::new(QUEUE)?,
            store,
        })
    }

    pub(crate) fn url(&self) -> String {
        self.store.url()
    }

    /// A client with the defaults.
    pub(crate) fn client(&self) -> Client {
        Client::builder().over(Arc::clone(&self.backend))
    }

    /// Forgets everything.
    pub(crate) async fn clear(&mut self) -> Result<(), Error> {
        match &mut self.store {
            Store::Redis { connection, .. } => {
                let () = redis::cmd("FLUSHALL")
                    .arg("SYNC")
                    .query_async(connection)
                    .await?;
            }
            Store::Sqlite(file) => {
                *file = File::make(file.sync())?;
                self.backend = broker::connect(&self.store.url()).await?;
            }
        }
        Ok(())
    }

    /// What the records say of the tasks that were `sent`.
    pub(crate) async fn records(
        &mut self,
        sent: HashSet<TaskId>,
        expected: State,
    ) -> Result<Records, Error> {
        match &mut self.store {
            Store::Redis { connection, .. } => {
                Records::read(connection, self.queue.as_str(), sent, expected).await
            }
            Store::Sqlite(file) => Ok(Records::count(file.records()?, sent, expected)),
        }
    }

    /// What lies in the queue of the tasks that are measured.
    pub(crate) async fn depth(&self) -> Result<Depth, Error> {
        Ok(self.backend.depth(&self.queue).await?)
    }

    /// Whether a worker has registered.
    pub(crate) async fn has_worker(&self) -> Result<bool, Error> {
        Ok(!self.backend.workers().await?.is_empty())
    }

    /// The CPU time its own process has taken since it started, in seconds: a file has none.
    pub(crate) async fn cpu(&mut self) -> Result<f64, Error> {
        let Store::Redis { connection, .. } = &mut self.store else {
            return Ok(0.0);
        };
        let user: f64 = info(connection, "cpu", "used_cpu_user").await?;
        let system: f64 = info(connection, "cpu", "used_cpu_sys").await?;
        Ok(user + system)
    }

    /// What it is.
    pub(crate) async fn version(&mut self) -> Result<String, Error> {
        match &mut self.store {
            Store::Redis { connection, .. } => {
                let version: String = info(connection, "server", "redis_version").await?;
                Ok(format!("Redis {version}"))
            }
            Store::Sqlite(file) => Ok(file.version()),
        }
    }
}

async fn info<T: std::str::FromStr>(
    connection: &mut MultiplexedConnection,
    part: &str,
    name: &str,
) -> Result<T, Error> {
    let all: String = redis::cmd("INFO").arg(part).query_async(connection).await?;
    let value = all
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value
        .and_then(|v| v.trim().parse().ok())
        .ok_or_else(|| Error::failed(format!("the private Redis tells no {name}")))
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
