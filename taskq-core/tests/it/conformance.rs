//! Every broker keeps every promise: the conformance suite, one test per case and broker.

mod memory {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use taskq_core::broker::Backend;
    use taskq_core::broker::conformance::Harness;
    use taskq_core::broker::memory::MemoryBroker;
    use taskq_core::{Error, QueueName};

    #[derive(Debug)]
    struct Memory(MemoryBroker);

    #[async_trait]
    impl Harness for Memory {
        async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
            Ok(Arc::new(self.0.clone()))
        }

        async fn advance(&self, by: Duration) -> Result<(), Error> {
            self.0.advance(by);
            Ok(())
        }

        async fn push_raw(
            &self,
            queue: &QueueName,
            priority: u8,
            body: &[u8],
        ) -> Result<(), Error> {
            self.0.push_raw(queue, priority, body.to_vec())
        }
    }

    taskq_core::conformance_tests!(Memory(MemoryBroker::with_still_clock()));
}

mod redis {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use private_redis::RedisServer;
    use taskq_core::broker::Backend;
    use taskq_core::broker::conformance::Harness;
    use taskq_core::broker::redis::RedisBroker;
    use taskq_core::{Error, QueueName};

    /// A server of the case's own.
    #[derive(Debug)]
    struct Redis {
        first: RedisBroker,
        _server: RedisServer,
    }

    impl Redis {
        fn start() -> Self {
            let server = RedisServer::start();
            let first = RedisBroker::new(&server.url()).expect("its own URL reads");
            Self {
                first,
                _server: server,
            }
        }
    }

    #[async_trait]
    impl Harness for Redis {
        async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
            Ok(Arc::new(self.first.another()?))
        }

        async fn advance(&self, by: Duration) -> Result<(), Error> {
            self.first.advance(by).await
        }

        async fn push_raw(
            &self,
            queue: &QueueName,
            priority: u8,
            body: &[u8],
        ) -> Result<(), Error> {
            self.first.push_raw(queue, priority, body).await
        }
    }

    taskq_core::conformance_tests!(Redis::start());
}

mod sqlite {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use taskq_core::broker::Backend;
    use taskq_core::broker::conformance::Harness;
    use taskq_core::broker::sqlite::SqliteBroker;
    use taskq_core::{Error, QueueName};
    use tempfile::TempDir;

    /// A file of the case's own; each connection opens it anew, as another process would.
    #[derive(Debug)]
    struct Sqlite {
        first: SqliteBroker,
        path: PathBuf,
        _folder: TempDir,
    }

    impl Sqlite {
        fn make() -> Self {
            let folder = TempDir::new().expect("a folder");
            let path = folder.path().join("taskq.db");
            let first = SqliteBroker::open(&path).expect("a new file opens");
            Self {
                first,
                path,
                _folder: folder,
            }
        }
    }

    #[async_trait]
    impl Harness for Sqlite {
        async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
            Ok(Arc::new(SqliteBroker::open(&self.path)?))
        }

        async fn advance(&self, by: Duration) -> Result<(), Error> {
            self.first.advance(by).await
        }

        async fn push_raw(
            &self,
            queue: &QueueName,
            priority: u8,
            body: &[u8],
        ) -> Result<(), Error> {
            self.first.push_raw(queue, priority, body.to_vec()).await
        }
    }

    taskq_core::conformance_tests!(Sqlite::make());
}

/// Each broker runs the whole table, and no case of its own.
#[test]
fn every_broker_runs_the_same_cases() {
    use std::collections::BTreeSet;

    let this = std::env::current_exe().unwrap();
    let listed = std::process::Command::new(this)
        .args(["--list", "--format=terse"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let cases: BTreeSet<&str> = taskq_core::broker::conformance::CASES
        .iter()
        .map(|(name, _)| *name)
        .collect();
    for broker in ["memory", "sqlite", "redis"] {
        let prefix = format!("conformance::{broker}::");
        let run = listed
            .lines()
            .filter_map(|line| line.strip_prefix(&*prefix));
        let run: BTreeSet<&str> = run.filter_map(|line| line.strip_suffix(": test")).collect();
        println!("{broker}: {} cases", run.len());
        assert_eq!(run, cases, "{broker}");
    }
}
