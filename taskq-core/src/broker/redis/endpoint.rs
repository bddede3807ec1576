//! Where the server is and how to reach it: the URL, read once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Cmd, ConnectionAddr, IntoConnectionInfo};

use super::keys::Namespace;
use super::scripts;
use crate::error::Error;
use crate::id::QueueName;

const DEFAULT_NAMESPACE: &str = "taskq";

/// One Redis database and our namespace in it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) client: redis::Client,
    pub(super) namespace: Namespace,
    /// Host, port and database, without credentials.
    pub(super) address: String,
    /// Added to the server's clock, in ms; 0 outside tests.
    offset: Arc<AtomicI64>,
}

impl Endpoint {
    /// Reads `redis://[user:password@]host[:port][/database][?namespace=name]`, or `rediss://` for TLS.
    pub(super) fn parse(text: &str) -> Result<Arc<Self>, Error> {
        let malformed = |why: String| {
            Error::invalid(format!(
                "the broker URL does not read as redis://[user:password@]host[:port][/database][?namespace=name]: {why}"
            ))
        };
        let mut url = url::Url::parse(text).map_err(|e| malformed(e.to_string()))?;
        let mut prefix = DEFAULT_NAMESPACE.to_owned();
        let mut rest = Vec::new();
        for (name, value) in url.query_pairs().into_owned() {
            match name.as_str() {
                "namespace" => prefix = value,
                _ => rest.push((name, value)),
            }
        }
        if let Some((name, _)) = rest.first() {
            return Err(malformed(format!(
                "the option `{name}` is not known, only `namespace` is"
            )));
        }
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(allowed) {
            return Err(malformed(
                "a namespace has 1 to 64 of the characters A-Z a-z 0-9 . _ -".into(),
            ));
        }
        url.set_query(None);
        if url.scheme() == "rediss" {
            // Someone else may have chosen a provider before us; theirs is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let info = url
            .as_str()
            .into_connection_info()
            .map_err(|e| malformed(e.to_string()))?
            .set_tcp_settings(tcp_settings());
        let database = info.redis_settings().db();
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}/{database}"),
            ConnectionAddr::TcpTls { host, port, .. } => {
                format!("rediss://{host}:{port}/{database}")
            }
            other => format!("{other}"),
        };
        let address = match prefix.as_str() {
            DEFAULT_NAMESPACE => address,
            other => format!("{address}?namespace={other}"),
        };
        let client = redis::Client::open(info).map_err(|e| malformed(e.to_string()))?;
        Ok(Arc::new(Self {
            client,
            namespace: Namespace::new(&prefix, database),
            address,
            offset: Arc::default(),
        }))
    }

    /// The call that makes `queues` known to all.
    pub(super) fn known<'a>(&self, queues: impl IntoIterator<Item = &'a QueueName>) -> Cmd {
        let mut known = scripts::KNOWN.call([self.namespace.queues()]);
        for queue in queues {
            known.arg(queue.as_str());
        }
        known
    }

    pub(super) fn offset_ms(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// The same server, seen through another set of connections, by the same clock.
    #[cfg(feature = "testing")]
    pub(super) fn another(&self) -> Arc<Self> {
        Arc::new(Self {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            address: self.address.clone(),
            offset: self.offset.clone(),
        })
    }

    #[cfg(feature = "testing")]
    pub(super) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset.fetch_add(ms, Ordering::Relaxed);
    }
}

/// A subscription only listens: without keepalive it would never learn that its connection is gone.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_credentials_are_not_shown() {
        let endpoint =
            Endpoint::parse("redis://ana:secreto@cache:6380/3?namespace=pruebas").unwrap();
        assert_eq!(endpoint.address, "redis://cache:6380/3?namespace=pruebas");
        assert_eq!(endpoint.namespace.queues(), "pruebas:queues");
        assert_eq!(endpoint.namespace.control(), "pruebas:3:control");
        for bad in [
            "redis://h/1?nombre=x",
            "redis://h/x",
            "redis://h?namespace=a b",
            "redis://",
        ] {
            let error = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(error.contains("redis://[user:password@]"), "{bad}: {error}");
        }
    }
}
