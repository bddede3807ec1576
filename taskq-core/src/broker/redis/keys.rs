//! Every key: spelled here and nowhere else. docs/protocol.md lists them with their types and bounds.

use crate::id::{QueueName, TaskId};

/// How many ready lists a queue has: one per priority.
pub(super) const PRIORITIES: usize = 10;

/// The keys of a namespace that belong to no queue, and the way to those of a queue.
#[derive(Debug, Clone)]
pub(super) struct Namespace {
    prefix: String,
    database: i64,
}

impl Namespace {
    pub(super) fn new(prefix: &str, database: i64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            database,
        }
    }

    pub(super) fn queue(&self, queue: &QueueName) -> QueueKeys {
        QueueKeys::new(&self.prefix, queue)
    }

    pub(super) fn queues(&self) -> String {
        format!("{}:queues", self.prefix)
    }

    pub(super) fn workers(&self) -> String {
        format!("{}:workers", self.prefix)
    }

    pub(super) fn worker(&self, id: &str) -> String {
        format!("{}:worker:{id}", self.prefix)
    }

    /// The events that concern workers.
    pub(super) fn fleet_events(&self) -> String {
        format!("{}:events", self.prefix)
    }

    pub(super) fn registry(&self) -> String {
        format!("{}:registry", self.prefix)
    }

    /// Channels carry the database, because pub/sub knows none.
    pub(super) fn control(&self) -> String {
        format!("{}:{}:control", self.prefix, self.database)
    }

    pub(super) fn reply(&self, client: &str) -> String {
        format!("{}:{}:reply:{client}", self.prefix, self.database)
    }

    #[cfg(feature = "testing")]
    pub(super) fn pattern(&self) -> String {
        format!("{}:*", self.prefix)
    }
}

/// The keys of one queue, all of one hash tag.
#[derive(Debug, Clone)]
pub(super) struct QueueKeys {
    stem: String,
    pub(super) ready: [String; PRIORITIES],
    pub(super) suspects: String,
    pub(super) delayed: String,
    pub(super) leases: String,
    pub(super) dead: String,
    pub(super) records: String,
    pub(super) meta: String,
    pub(super) bell: String,
    pub(super) events: String,
    pub(super) totals: String,
    pub(super) waiters: String,
    /// The bell of a queue that is paused.
    pub(super) resumed: String,
    pub(super) revoked: String,
}

impl QueueKeys {
    fn new(prefix: &str, queue: &QueueName) -> Self {
        let stem = format!("{prefix}:{{{queue}}}:");
        let key = |name: &str| format!("{stem}{name}");
        Self {
            ready: std::array::from_fn(|priority| match priority {
                0 => key("ready"),
                p => key(&format!("ready:{p}")),
            }),
            suspects: key("suspects"),
            delayed: key("delayed"),
            leases: key("leases"),
            dead: key("dead"),
            records: key("records"),
            meta: key("meta"),
            bell: key("bell"),
            events: key("events"),
            totals: key("totals"),
            waiters: key("waiters"),
            resumed: key("resumed"),
            revoked: key("revoked"),
            stem,
        }
    }

    pub(super) fn session(&self, id: &str) -> String {
        format!("{}session:{id}", self.stem)
    }

    pub(super) fn orphan(&self, id: &str) -> String {
        format!("{}orphan:{id}", self.stem)
    }

    pub(super) fn producer(&self, client: &str) -> String {
        format!("{}producer:{client}", self.stem)
    }

    /// The bucket of records of ids made in this second.
    pub(super) fn bucket(&self, second: u64) -> String {
        format!("{}records:{second}", self.stem)
    }

    /// An idempotency key.
    pub(super) fn once(&self, key: &str) -> String {
        format!("{}once:{key}", self.stem)
    }

    /// A record that has a key of its own.
    pub(super) fn record(&self, id: TaskId) -> String {
        format!("{}record:{id}", self.stem)
    }
}

/// What type the key should have; for errors that name a key of another type.
pub(super) fn expected_type(key: &str) -> &'static str {
    let name = key.rsplit_once("}:").map_or(key, |(_, name)| name);
    match name.split(':').next().unwrap_or(name) {
        "ready" | "suspects" => "list",
        "session" | "orphan" | "meta" | "totals" | "waiters" => "hash",
        "producer" | "record" | "once" => "string",
        "events" => "stream",
        _ if key.ends_with(":events") => "stream",
        "records" if name.contains(':') => "hash",
        "delayed" | "leases" | "dead" | "records" | "bell" | "resumed" | "revoked" => "zset",
        _ if key.ends_with(":queues") => "set",
        _ if key.ends_with(":workers") => "zset",
        _ => "hash",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_queue_share_its_hash_tag() {
        let namespace = Namespace::new("taskq", 0);
        let keys = namespace.queue(&QueueName::new("logistica").unwrap());
        assert_eq!(keys.ready[0], "taskq:{logistica}:ready");
        assert_eq!(keys.ready[9], "taskq:{logistica}:ready:9");
        assert_eq!(keys.session("s1"), "taskq:{logistica}:session:s1");
        assert_eq!(keys.bucket(7), "taskq:{logistica}:records:7");
    }

    #[test]
    fn every_key_has_a_type() {
        for (key, is) in [
            ("taskq:{q}:ready:3", "list"),
            ("taskq:{q}:records", "zset"),
            ("taskq:{q}:records:17", "hash"),
            ("taskq:{q}:revoked", "zset"),
            ("taskq:{q}:record:x", "string"),
            ("taskq:{q}:session:x", "hash"),
            ("taskq:{q}:totals", "hash"),
            ("taskq:{q}:once:a:b", "string"),
            ("taskq:{q}:events", "stream"),
            ("taskq:events", "stream"),
            ("taskq:queues", "set"),
            ("taskq:workers", "zset"),
            ("taskq:worker:x", "hash"),
            ("taskq:registry", "hash"),
        ] {
            assert_eq!(expected_type(key), is, "{key}");
        }
    }
}
