//! What a worker says of itself: its tasks, its place, what it has done and used.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use taskq_core::broker::Order;
use taskq_core::control::{BrokerAddress, Pool, Rusage, Stats};
use url::Url;

use crate::conf;
use crate::config::{Config, Source};
use crate::ledger::Ledger;
use crate::serving::{self, Serving};

/// The kernel counts processor time in these parts of a second, for programs on every machine it runs on today.
const TICKS_PER_S: f64 = 100.0;

/// What is told of one worker.
#[derive(Debug)]
pub(crate) struct About {
    /// The names of its tasks, sorted.
    pub(crate) registered: Vec<&'static str>,
    /// Its settings by their flags' names.
    conf: Map<String, Value>,
    serving: Arc<Serving>,
    broker: BrokerAddress,
    since: Instant,
}

impl About {
    /// Of a worker that starts now.
    pub(crate) fn new(config: &Config, serving: Arc<Serving>) -> Self {
        Self {
            registered: config.registry.iter().map(|def| def.name).collect(),
            conf: conf::of(config),
            serving,
            broker: match &config.source {
                Source::Backend(_) => BrokerAddress::default(),
                Source::Url(url) => address(url),
            },
            since: Instant::now(),
        }
    }

    /// Its settings by their flags' names: queues and slots as they are now.
    pub(crate) fn conf(&self) -> Map<String, Value> {
        let mut conf = self.conf.clone();
        let slots = self.serving.slots().total();
        let queues = serving::shown(&self.serving.queues());
        let strict = self.serving.order() == Order::Strict;
        conf.insert("concurrency".to_owned(), json!(slots));
        conf.insert(
            "queues".to_owned(),
            json!(queues.split(", ").collect::<Vec<_>>()),
        );
        conf.insert("strict".to_owned(), json!(strict));
        conf
    }

    /// How it is doing now.
    pub(crate) fn stats(&self, ledger: &Ledger) -> Stats {
        let tally = ledger.tally();
        let (succeeded, failed) = (tally.succeeded(), tally.failed());
        let (retried, revoked) = (tally.retried(), tally.revoked());
        let pid = std::process::id();
        let (slots, queues) = (self.serving.slots().total(), self.serving.names());
        Stats {
            total: tally.begun(),
            processed: succeeded + failed + retried + revoked,
            succeeded,
            failed,
            retried,
            revoked,
            lost: ledger.lost(),
            pid,
            uptime: self.since.elapsed().as_secs(),
            queues: queues.iter().map(ToString::to_string).collect(),
            pool: Pool {
                max_concurrency: slots,
                running: ledger.load().0,
                processes: vec![pid],
            },
            prefetch_count: slots,
            broker: self.broker.clone(),
            rusage: rusage(),
        }
    }
}

/// Where the broker at `url` is; of a URL that does not read as one, nothing: it may hold a password anywhere.
fn address(url: &str) -> BrokerAddress {
    let Ok(url) = Url::parse(url) else {
        return BrokerAddress::default();
    };
    let usual = url.scheme().starts_with("redis").then_some(6379);
    let database = url.path().trim_start_matches('/');
    BrokerAddress {
        transport: Some(url.scheme().to_owned()),
        hostname: url.host_str().map(str::to_owned),
        port: url.port().or(usual),
        virtual_host: match (database, usual) {
            ("", Some(_)) => Some("0".to_owned()),
            ("", None) => None,
            (database, _) => Some(database.to_owned()),
        },
    }
}

/// What this process has used; `None` where the system does not tell.
pub(crate) fn rusage() -> Option<Rusage> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    used(&stat, &status)
}

/// What `/proc/<pid>/stat` and `status` say of it.
fn used(stat: &str, status: &str) -> Option<Rusage> {
    // The program's name comes second, in brackets, and may hold anything: what follows it is counted from there.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_ascii_whitespace().skip(11);
    let mut seconds = || Some(times.next()?.parse::<u64>().ok()? as f64 / TICKS_PER_S);
    let (utime, stime) = (seconds()?, seconds()?);
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let maxrss = peak.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Rusage {
        utime,
        stime,
        maxrss,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &str) -> String {
        serde_json::to_string(&address(url)).expect("plain fields")
    }

    #[test]
    fn an_address_has_no_user_and_no_password() {
        let whole = r#"{"transport":"redis","hostname":"h","port":6379,"virtual_host":"0"}"#;
        for url in ["redis://h", "redis://:s3cret@h/0", "redis://s3cret@h"] {
            assert_eq!(text(url), whole);
        }
        assert_eq!(
            text("rediss://u:s3cret@h:7000/2?password=s3cret"),
            r#"{"transport":"rediss","hostname":"h","port":7000,"virtual_host":"2"}"#
        );
        let none = r#"{"transport":null,"hostname":null,"port":null,"virtual_host":null}"#;
        assert_eq!(text("redis://u:s3/cret@h/0"), none);
        assert!(!text("redis://u:p@s3cret@h").contains("s3cret"));
    }

    #[test]
    fn the_use_of_a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 1000 10 18446744073709551615";
        let status = "Name:\ta) b\nVmPeak:\t  9000 kB\nVmHWM:\t    1234 kB\nThreads:\t1\n";
        let expected = Rusage {
            utime: 2.5,
            stime: 0.5,
            maxrss: 1234,
        };
        assert_eq!(used(stat, status), Some(expected));
        assert_eq!(used("", ""), None);
        assert_eq!(used(stat, "Name:\tx\n"), None);
    }
}
