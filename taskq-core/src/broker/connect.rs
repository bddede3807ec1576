//! From a URL to a broker: the table of schemes.

use std::sync::Arc;

use super::Backend;
use super::memory::MemoryBroker;
use crate::error::{Error, ErrorKind};

const KNOWN: &str = "sqlite://, redis://, rediss:// and memory://";

/// Connects to the broker that `url` names.
///
/// In the path of a file `%`, `#` and `?` are written `%25`, `%23` and `%3F`. Who connects to a file again shares it.
///
/// | URL | broker |
/// |---|---|
/// | `sqlite:///folder/file.db`, `sqlite://file.db` | a file, from the root or from the working directory; made if it is not there |
/// | `sqlite://…?sync=full` | the same, and what is accepted survives the loss of power; `sync=normal`, the default, survives the death of every process |
/// | `sqlite::memory:` | a new, empty one inside this process |
/// | `redis://[[user]:password@]host[:port][/db][?namespace=name]` | Redis; `rediss://` the same over TLS |
/// | `memory://` | a new, empty one inside this process |
/// | `memory://name` | the one called `name` inside this process |
///
/// # Errors
/// [`ErrorKind::Invalid`] for what is no broker URL, [`ErrorKind::Unsupported`] for a broker that is not built yet.
/// A server that can not be reached shows at the first call, not here; a file that can not be opened shows here. No error
/// shows more of the URL than its scheme and host, or a file's path.
///
/// # Example
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_core::Error> {
/// let broker = taskq_core::broker::connect("memory://").await?;
/// assert!(broker.queues().await?.is_empty());
/// # Ok(()) }
/// ```
pub async fn connect(url: &str) -> Result<Arc<dyn Backend>, Error> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(Error::invalid(format!(
            "the broker URL has no scheme: write one of {KNOWN}, such as sqlite:///var/lib/taskq.db or redis://127.0.0.1:6379/0"
        )));
    };
    match scheme {
        "memory" => memory(rest),
        "redis" | "rediss" => redis(url),
        "sqlite" => sqlite(rest).await,
        "amqp" | "amqps" | "redis+sentinel" | "redis+cluster" => Err(Error::new(
            ErrorKind::Unsupported,
            format!("a broker at {scheme}:// is not built yet: use one of {KNOWN}"),
        )),
        _ => Err(Error::invalid(format!(
            "the broker URL begins with {}, which is no known scheme: use one of {KNOWN}",
            shown(scheme)
        ))),
    }
}

/// The same, but a file that is not there is not made: for who looks at what others have put there.
///
/// A look at a wrong path would make an empty broker there, and who finds it takes it for the one that is meant.
///
/// # Errors
/// Those of [`connect`], [`ErrorKind::Unreachable`] for a file that is not there, and [`ErrorKind::Refused`] where that can not
/// be seen.
///
/// # Example
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error = taskq_core::broker::connect_existing("sqlite:///no/such/taskq.db").await.unwrap_err();
/// assert!(error.to_string().contains("/no/such/taskq.db"));
/// # }
/// ```
pub async fn connect_existing(url: &str) -> Result<Arc<dyn Backend>, Error> {
    #[cfg(feature = "sqlite")]
    if let Some(rest) = url.strip_prefix("sqlite:") {
        super::sqlite::SqliteBroker::check_it_is_there(rest).await?;
    }
    connect(url).await
}

fn memory(rest: &str) -> Result<Arc<dyn Backend>, Error> {
    let name = rest.strip_prefix("//");
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    match name {
        Some("") => Ok(Arc::new(MemoryBroker::new())),
        Some(name) if name.len() <= 128 && name.bytes().all(allowed) => {
            Ok(Arc::new(MemoryBroker::named(name)))
        }
        _ => Err(Error::invalid(
            "a memory broker is memory:// or memory://name, the name of 1 to 128 of the characters A-Z a-z 0-9 . _ -",
        )),
    }
}

#[cfg(feature = "redis")]
fn redis(url: &str) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(super::redis::RedisBroker::new(url)?))
}

#[cfg(not(feature = "redis"))]
fn redis(_url: &str) -> Result<Arc<dyn Backend>, Error> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "this program was built without the Redis broker: build taskq-core with feature `redis`, or use memory://",
    ))
}

#[cfg(feature = "sqlite")]
async fn sqlite(rest: &str) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(super::sqlite::SqliteBroker::connect(rest).await?))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_rest: &str) -> Result<Arc<dyn Backend>, Error> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "this program was built without the embedded broker: build taskq-core with feature `sqlite`, or use memory://",
    ))
}

/// A scheme as far as it can be one; what else stands before the first colon may be a secret.
fn shown(scheme: &str) -> String {
    let letters = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'.' | b'-');
    if !scheme.is_empty() && scheme.len() <= 20 && scheme.bytes().all(letters) {
        format!("`{scheme}`")
    } else {
        "something else".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(url: &str) -> Error {
        match connect(url).await {
            Ok(_) => panic!("{url} was accepted"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_told_the_known_ones() {
        let error = refusal("http://user:s3cret@host/").await;
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("`http`") && text.contains(KNOWN), "{text}");
    }

    #[tokio::test]
    async fn brokers_to_come_are_named_as_such() {
        for url in [
            "amqp://u:s3cret@host",
            "redis+sentinel://h",
            "redis+cluster://h",
        ] {
            let error = refusal(url).await;
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
            assert!(error.to_string().contains("not built yet"), "{error}");
        }
    }

    #[tokio::test]
    async fn no_error_shows_a_password() {
        for url in [
            "http://user:s3cret@host/",
            "amqp://user:s3cret@host",
            "s3cret@host:6379",
            "s3cret",
            "memory://user:s3cret@x",
        ] {
            let error = refusal(url).await;
            assert!(!format!("{error:?}{error}").contains("s3cret"), "{error:?}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn who_looks_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/taskq.db");
        let url = format!("sqlite://{}", file.display());
        let error = connect_existing(&url).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains(&*file.to_string_lossy()));
        assert!(!folder.path().join("made").exists());
        connect(&url).await.unwrap();
        connect_existing(&url).await.unwrap();
        connect_existing("memory://").await.unwrap();
        // Below a file nothing can be looked for: that is not the same as nothing being there.
        let below = format!("{url}/taskq.db");
        let error = connect_existing(&below).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("mend the path"), "{error}");
    }

    #[tokio::test]
    async fn a_name_is_shared_within_the_process_and_no_name_is_not() {
        let nameless = MemoryBroker::new();
        nameless
            .push_raw(&crate::QueueName::default(), 0, "{}")
            .unwrap();
        let other = connect("memory://").await.unwrap();
        assert!(other.queues().await.unwrap().is_empty());
        let a = MemoryBroker::named("shared");
        let queue = crate::QueueName::default();
        a.push_raw(&queue, 0, "{}").unwrap();
        let b = connect("memory://shared").await.unwrap();
        assert_eq!(b.depth(&queue).await.unwrap().waiting, 1);
        drop((a, b));
        let c = connect("memory://shared").await.unwrap();
        assert_eq!(c.depth(&queue).await.unwrap().waiting, 0);
    }
}
