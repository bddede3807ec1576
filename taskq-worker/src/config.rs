//! What a worker is built from, checked.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::{Backend, Order, Served};
use taskq_core::task::{Registry, State};
use taskq_core::{Error, QueueName};
use tokio_util::sync::CancellationToken;

use crate::hooks::Hooks;
use crate::limits::TimeLimits;
use crate::middleware::Chain;
use crate::node;
use crate::recycle::Enough;

/// How long a session outlives its last beat, unless said otherwise: 10 s.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(10);

/// How long a warm stop waits for running tasks, unless said otherwise: 25 s. Kubernetes kills after 30.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(25);

/// The most tasks that one worker runs at once.
pub(crate) const MOST_SLOTS: usize = 100_000;

/// The weights that a queue can have.
pub(crate) const WEIGHTS: RangeInclusive<u32> = 1..=1_000;

/// How many tasks run at once, unless said otherwise: 10 for each processor this process may use (cgroups counted).
#[must_use]
pub fn default_concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get) * 10
}

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Source,
    pub(crate) queues: Vec<Served>,
    /// Somebody said which queues: they are not the default.
    pub(crate) queues_said: bool,
    pub(crate) order: Order,
    pub(crate) slots: usize,
    /// So many plain functions run at once at most, where that is known.
    pub(crate) threads: Option<usize>,
    pub(crate) node: Arc<str>,
    pub(crate) host: String,
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) limits: TimeLimits,
    pub(crate) state: State,
    pub(crate) registry: Registry,
    pub(crate) middleware: Arc<Chain>,
    pub(crate) hooks: Hooks,
    pub(crate) enough: Enough,
    /// Where it answers for its health.
    pub(crate) health: Option<String>,
    pub(crate) stop: CancellationToken,
}

/// Where the broker comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Backend(Arc<dyn Backend>),
    Url(String),
}

/// A configuration as it was written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) source: Option<Source>,
    pub(crate) queues: Vec<String>,
    pub(crate) weights: Vec<(String, u32)>,
    pub(crate) order: Order,
    pub(crate) concurrency: Option<usize>,
    pub(crate) threads: Option<usize>,
    pub(crate) node: Option<String>,
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) limits: TimeLimits,
    pub(crate) state: State,
    pub(crate) registry: Option<Registry>,
    pub(crate) middleware: Chain,
    pub(crate) hooks: Hooks,
    pub(crate) enough: Enough,
    pub(crate) health: Option<String>,
    pub(crate) stop: CancellationToken,
}

impl Draft {
    pub(crate) fn check(self) -> Result<Config, Error> {
        let source = self.source.ok_or_else(|| {
            Error::invalid("a worker needs a broker: give it one with `.url(…)` or `.backend(…)`")
        })?;
        let queues = served(&self.queues, &self.weights, self.order)?;
        let slots = self.concurrency.unwrap_or_else(default_concurrency);
        between("the concurrency", slots, 1, MOST_SLOTS)?;
        between("the lease in ms", self.lease.as_millis(), 100, 3_600_000)?;
        between("the grace in s", self.grace.as_secs(), 0, 86_400)?;
        let host = node::host();
        let template = self
            .node
            .unwrap_or_else(|| format!("worker-{}@%h", std::process::id()));
        Ok(Config {
            source,
            queues,
            queues_said: !(self.queues.is_empty() && self.weights.is_empty()),
            order: self.order,
            slots,
            threads: self.threads,
            node: node::expand_node(&template, &host)?.into(),
            host,
            lease: self.lease,
            grace: self.grace,
            limits: self.limits.check()?,
            state: self.state,
            registry: self.registry.map_or_else(Registry::collect, Ok)?,
            middleware: Arc::new(self.middleware),
            hooks: self.hooks,
            enough: self.enough.check()?,
            health: self.health,
            stop: self.stop,
        })
    }
}

/// The queues in their order, with the weights that some were given.
fn served(names: &[String], weights: &[(String, u32)], order: Order) -> Result<Vec<Served>, Error> {
    let named = names.iter().map(|name| (name, None));
    let weighted = weights.iter().map(|(name, weight)| (name, Some(*weight)));
    let mut queues: Vec<Served> = Vec::new();
    for (name, weight) in named.chain(weighted) {
        let queue = QueueName::new(name)?;
        if let Some(weight) = weight {
            let what = format!("the weight of the queue {queue}");
            between(&what, weight, *WEIGHTS.start(), *WEIGHTS.end())?;
            if order == Order::Strict && weight != 1 {
                return Err(Error::invalid(format!(
                    "{what} says nothing in strict order: leave it out, or the strict order"
                )));
            }
        }
        match queues.iter_mut().find(|s| s.queue == queue) {
            Some(there) => there.weight = weight.unwrap_or(there.weight),
            None => queues.push(Served {
                queue,
                weight: weight.unwrap_or(1),
            }),
        }
    }
    if queues.is_empty() {
        queues.push(QueueName::default().into());
    }
    Ok(queues)
}

impl Source {
    /// The broker as it may be shown: its URL without the password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Backend(_) => "given by the program".to_owned(),
            Self::Url(url) => hide_password(url),
        }
    }
}

fn hide_password(url: &str) -> String {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    if options.to_ascii_lowercase().contains("pass") {
        // Nothing that is called so is an option of ours: what it holds is nobody's business.
        return hide_password(place) + "?***";
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold an @ that was not escaped: the last one counts.
    let Some(at) = rest[..authority].rfind('@').or_else(|| rest.rfind('@')) else {
        return url.to_owned();
    };
    let user = rest[..at].split(':').next().unwrap_or_default();
    let secret = if rest[..at].contains(':') { ":***" } else { "" };
    format!("{scheme}://{user}{secret}{}", &rest[at..])
}

fn between<T: PartialOrd + std::fmt::Display>(
    what: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), Error> {
    if value < least || value > most {
        return Err(Error::invalid(format!(
            "{what} is {value}, it goes from {least} to {most}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::hide_password;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("redis://h:1/0", "redis://h:1/0"),
            ("redis://:secret@h/0", "redis://:***@h/0"),
            ("redis://u:s:e@h/0?x=a@b", "redis://u:***@h/0?x=a@b"),
            ("redis://u:p@ss@h/0", "redis://u:***@h/0"),
            ("redis://u:p/ss@h/0", "redis://u:***@h/0"),
            ("redis://u:p@h/0?password=secret", "redis://u:***@h/0?***"),
            ("memory://", "memory://"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(hide_password(url), shown);
        }
    }
}
