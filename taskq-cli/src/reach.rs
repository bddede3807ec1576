//! The broker, with the patience of somebody who sits before a terminal.

use std::sync::Arc;
use std::time::Duration;

use taskq_client::Client;
use taskq_core::Error;
use taskq_core::broker::Backend;
use url::Url;

use crate::exit::{Exit, Stop};

/// Everything that is asked of the broker has so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// A send knows its deadline itself; its own error says more than ours.
const SLACK: Duration = Duration::from_secs(1);

/// A client, and the address to blame.
pub(crate) struct Reach {
    pub(crate) client: Client,
    address: String,
}

impl Reach {
    pub(crate) async fn connect<C, F>(broker: String, connect: C) -> Result<Self, Stop>
    where
        C: FnOnce(String) -> F,
        F: Future<Output = Result<Arc<dyn Backend>, Error>>,
    {
        let address = address(&broker);
        let backend = patiently(&address, PATIENCE, connect(broker)).await?;
        let client = Client::builder().send_deadline(PATIENCE).over(backend);
        Ok(Self { client, address })
    }

    /// What `call` answers, if it does in time.
    pub(crate) async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Stop> {
        patiently(&self.address, PATIENCE, call).await
    }

    /// As [`read`](Self::read), for calls that take `extra` time of their own.
    pub(crate) async fn read_for<T>(
        &self,
        extra: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Stop> {
        patiently(&self.address, PATIENCE + extra, call).await
    }

    /// As [`read`](Self::read), for work of many steps that may take up to `most`: each step knows by itself when the
    /// broker is away.
    pub(crate) async fn work<T>(
        &self,
        most: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Stop> {
        within(PATIENCE + most, work).await
    }

    /// As [`read`](Self::read), for sends.
    pub(crate) async fn send<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Stop> {
        patiently(&self.address, PATIENCE + SLACK, call).await
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

async fn patiently<T>(
    address: &str,
    patience: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Stop> {
    match tokio::time::timeout(patience, call).await {
        Ok(result) => result.map_err(Stop::from),
        Err(_) => Err(Stop {
            passes: true,
            ..Stop::new(
                Exit::Unreachable,
                format!(
                    "the broker at {address} did not answer within {} s: {}",
                    patience.as_secs(),
                    doubts(address)
                ),
            )
        }),
    }
}

/// What may be the matter with a broker that does not answer.
fn doubts(address: &str) -> &'static str {
    if address.starts_with("sqlite:") {
        "is it locked by another program (a copy under way, a shell with an open transaction), or does its disk hang?"
    } else {
        "is it running, and is the address right?"
    }
}

async fn within<T>(
    most: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Stop> {
    match tokio::time::timeout(most, work).await {
        Ok(result) => result.map_err(Stop::from),
        Err(_) => Err(Stop::new(
            Exit::TimedOut,
            format!(
                "it was not over within {} s: what is done stays done, the same command goes on with the rest",
                most.as_secs()
            ),
        )),
    }
}

/// Where the broker is, without user, password and options; but a namespace is a part of where it is.
fn address(broker: &str) -> String {
    let Ok(mut url) = Url::parse(broker) else {
        return "the given URL".to_owned();
    };
    // Fails only for URLs that can not have them.
    url.set_username("")
        .and_then(|()| url.set_password(None))
        .ok();
    let options = url.query_pairs().into_owned();
    let namespace = options
        .filter(|(name, _)| name == "namespace")
        .map(|(_, value)| value)
        .last();
    url.set_query(None);
    url.set_fragment(None);
    if let Some(namespace) = namespace {
        url.query_pairs_mut().append_pair("namespace", &namespace);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_takes_too_long_timed_out_and_a_silent_broker_is_unreachable() {
        let never = || std::future::pending::<Result<(), Error>>();
        let soon = Duration::from_millis(1);
        let ends = [
            within(soon, never()).await,
            patiently("memory://", soon, never()).await,
        ];
        let exits = ends.map(|end| end.unwrap_err().exit);
        assert_eq!(exits, [Exit::TimedOut, Exit::Unreachable]);
    }

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_not_asked_whether_it_runs() {
        let never = || std::future::pending::<Result<(), Error>>();
        let soon = Duration::from_millis(1);
        for (address, question) in [
            ("sqlite:///a/taskq.db", "is it locked by another program"),
            ("redis://h/0", "is it running"),
        ] {
            let stop = patiently(address, soon, never()).await.unwrap_err();
            assert!(stop.text.contains(question), "{}", stop.text);
        }
    }

    #[test]
    fn an_address_shows_no_secret() {
        assert_eq!(
            address("redis://u:s3cret@h:6379/0?password=s3cret"),
            "redis://h:6379/0"
        );
        assert_eq!(
            address("redis://u:s3cret@h/0?namespace=shop&pass=s3cret#s3cret"),
            "redis://h/0?namespace=shop"
        );
        assert_eq!(
            address("sqlite:///a%20b/taskq.db?sync=full"),
            "sqlite:///a%20b/taskq.db"
        );
        assert_eq!(address("memory://"), "memory://");
        assert!(!address("s3cret").contains("s3cret"));
        assert!(!address("s3cret@host:6379").contains("s3cret"));
    }
}
