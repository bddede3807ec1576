//! A look at a worker's health address, and at its metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::bench::PATIENCE;
use crate::process::Process;

/// What one GET was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A member of the JSON body.
    pub(crate) fn json(&self, member: &str) -> serde_json::Value {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a JSON body");
        body[member].clone()
    }
}

/// Asks for `path` on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")?;
    let mut all = String::new();
    // It ends by itself: one request for each connection.
    stream.read_to_string(&mut all)?;
    let (head, body) = all.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Ok(Answer {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// Asks until the status is as expected.
pub(crate) fn until_status(address: SocketAddr, path: &str, status: u16) -> Answer {
    let began = Instant::now();
    loop {
        let answer = get(address, path);
        match answer {
            Ok(answer) if answer.status == status => return answer,
            other => assert!(
                began.elapsed() < PATIENCE,
                "{path} never was {status}: {other:?}"
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where a worker that was started with port 0 says that it answers.
pub(crate) fn address_of(worker: &mut Process) -> SocketAddr {
    let line = worker.logs("health: http://");
    let (_, rest) = line.split_once("http://").expect("an address");
    let (address, _) = rest.split_once("/live").expect("its end");
    address.parse().expect("an address")
}

/// Metrics by their name and labels, as they stand in the text: `name{label="value"}`.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text format, and holds it to its rules: each family has its help and its type, once, before its samples;
    /// no sample comes twice; the buckets of a histogram add up to its count.
    pub(crate) fn read(text: &str) -> Self {
        let (mut helped, mut typed) = (BTreeSet::new(), BTreeMap::new());
        let mut samples = BTreeMap::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().unwrap();
                assert!(helped.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "{line}");
                assert!(
                    typed.insert(name.to_owned(), kind.to_owned()).is_none(),
                    "{line}"
                );
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let bare = name.split('{').next().unwrap();
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| bare.strip_suffix(end))
                    .filter(|family| typed.get(*family).is_some_and(|t| t == "histogram"));
                assert!(
                    typed.contains_key(family.unwrap_or(bare)),
                    "no type: {line}"
                );
                let value = value.parse().unwrap();
                assert!(
                    samples.insert(name.to_owned(), value).is_none(),
                    "twice: {line}"
                );
            }
        }
        let metrics = Self(samples);
        metrics.check_buckets();
        metrics
    }

    fn check_buckets(&self) {
        let infinite = self.0.iter().filter(|(n, _)| n.contains("le=\"+Inf\""));
        for (name, all) in infinite {
            let count = name.replace("_bucket{", "_count{");
            let count = count.replace(",le=\"+Inf\"", "").replace("le=\"+Inf\"", "");
            assert_eq!(
                self.0.get(count.trim_end_matches("{}")),
                Some(all),
                "{name}"
            );
            let series = name.split("le=").next().unwrap();
            let mut buckets: Vec<(f64, f64)> = self
                .0
                .iter()
                .filter(|(n, _)| n.starts_with(series))
                .map(|(n, v)| {
                    let bound = n.split("le=\"").nth(1).unwrap().trim_end_matches("\"}");
                    (bound.parse().unwrap_or(f64::INFINITY), *v)
                })
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.windows(2).all(|w| w[0].1 <= w[1].1),
                "{name}: {buckets:?}"
            );
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The same, which must be there.
    pub(crate) fn of(&self, name: &str) -> f64 {
        let names: Vec<_> = self.0.keys().collect();
        self.get(name)
            .unwrap_or_else(|| panic!("no {name} in {names:#?}"))
    }
}

/// The metrics, once they are as asked.
pub(crate) fn metrics_when(address: SocketAddr, is: impl Fn(&Metrics) -> bool) -> Metrics {
    let began = Instant::now();
    loop {
        let answer = get(address, "/metrics").expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer
                .head
                .contains("content-type: text/plain; version=0.0.4"),
            "{}",
            answer.head
        );
        let metrics = Metrics::read(&answer.body);
        if is(&metrics) {
            return metrics;
        }
        assert!(began.elapsed() < PATIENCE, "{metrics:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
