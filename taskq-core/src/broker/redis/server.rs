//! What the server is, and which of its settings break what we promise.

use std::time::Instant;

use redis::{Cmd, cmd};

use super::RedisBroker;
use super::value::bytes;
use crate::broker::ServerInfo;
use crate::error::{Error, ErrorKind};

/// The oldest version that knows all commands and options of the scripts.
const OLDEST: (u32, u32) = (6, 2);

/// As Redis is shipped it writes what has changed to a snapshot within an hour. One that has not for twice as long makes none.
const SNAPSHOT_S: u64 = 2 * 3_600;

/// Asks the server; what it does not let us read is a warning, not an error.
pub(super) async fn read(broker: &RedisBroker) -> Result<ServerInfo, Error> {
    let (text, unread) = match info(broker).await {
        Ok(text) => (text, None),
        Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Protocol) => {
            let unread = format!(
                "its settings can not be read ({error}): see for yourself that its maxmemory-policy is noeviction, or \
                 allow this user the command INFO"
            );
            (String::new(), Some(unread))
        }
        Err(error) => return Err(error),
    };
    let about = About::of(&text);
    // The connection is open by now.
    let asked = Instant::now();
    broker.short.call(&cmd("PING")).await?;
    Ok(ServerInfo {
        name: about.name.unwrap_or("redis").to_owned(),
        version: about.version.unwrap_or("unknown").to_owned(),
        round_trip: asked.elapsed(),
        warnings: about.warnings().into_iter().chain(unread).collect(),
    })
}

/// `INFO` takes several sections at once only from version 7.0.
async fn info(broker: &RedisBroker) -> Result<String, Error> {
    let asks: Vec<Cmd> = ["server", "memory", "persistence"]
        .map(|section| {
            let mut ask = cmd("INFO");
            ask.arg(section);
            ask
        })
        .into();
    let sections = broker.short.all(&asks).await?;
    let text: Vec<u8> = sections.into_iter().filter_map(bytes).flatten().collect();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What matters of an answer to `INFO`.
#[derive(Debug)]
struct About<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    /// The version of Redis that it is compatible with.
    speaks: Option<&'a str>,
    limit: Option<u64>,
    policy: Option<&'a str>,
    unsaved: Option<Unsaved>,
}

/// What a server without an append-only file has not written to a snapshot yet.
#[derive(Debug, Clone, Copy)]
struct Unsaved {
    changes: u64,
    /// How old the last snapshot is, or the server that has made none.
    for_s: u64,
}

impl<'a> About<'a> {
    fn of(text: &'a str) -> Self {
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim())
        };
        let number = |name| field(name).and_then(|n| n.parse::<u64>().ok());
        let unsaved = || {
            let now_s = number("server_time_usec")? / 1_000_000;
            let saved_s = number("rdb_last_save_time")?;
            // One that is under way may have been due just now.
            let idle = number("rdb_bgsave_in_progress")? == 0;
            idle.then_some(Unsaved {
                changes: number("rdb_changes_since_last_save")?,
                for_s: now_s.saturating_sub(saved_s),
            })
        };
        let speaks = field("redis_version");
        Self {
            name: field("server_name"),
            version: field("valkey_version").or(speaks),
            speaks,
            limit: number("maxmemory"),
            policy: field("maxmemory_policy"),
            unsaved: (number("aof_enabled") == Some(0)).then(unsaved).flatten(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(speaks) = self.speaks
            && version(speaks).is_some_and(|v| v < OLDEST)
        {
            let (major, minor) = OLDEST;
            warnings.push(format!(
                "it speaks as Redis {speaks}, and {major}.{minor} or later is needed: upgrade it"
            ));
        }
        // Without a limit nothing is evicted, whatever the policy.
        if let (Some(limit @ 1..), Some(policy)) = (self.limit, self.policy)
            && policy != "noeviction"
        {
            let loses = if policy.starts_with("volatile-") {
                "results, and the numbers that keep a repeated send from running twice"
            } else {
                "queues with the tasks in them, and results"
            };
            warnings.push(format!(
                "its maxmemory-policy is {policy}: when its {limit} bytes are full it throws away {loses}; set it to \
                 noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration file)"
            ));
        }
        // Which snapshots it is to make INFO does not tell; whether it makes any shows by their age.
        if let Some(Unsaved {
            changes: changes @ 1..,
            for_s: for_s @ SNAPSHOT_S..,
        }) = self.unsaved
        {
            warnings.push(format!(
                "it keeps no append-only file and has made no snapshot for {} h: when it ends, what was written since is \
                 lost, tasks among it ({changes} writes); keep one (CONFIG SET appendonly yes, and in its configuration file)",
                for_s / 3_600
            ));
        }
        warnings
    }
}

/// Major and minor number.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(version: &str, limit: u64, policy: &str) -> Vec<String> {
        let text = format!(
            "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n"
        );
        About::of(&text).warnings()
    }

    #[test]
    fn a_policy_that_evicts_is_named_with_what_it_costs() {
        assert_eq!(warnings("7.0.15", 0, "allkeys-lru"), [""; 0]);
        assert_eq!(warnings("7.0.15", 9, "noeviction"), [""; 0]);
        for (policy, loses) in [
            ("allkeys-lru", "queues with the tasks"),
            ("allkeys-random", "queues with the tasks"),
            ("volatile-ttl", "results, and the numbers"),
        ] {
            let said = warnings("7.0.15", 9, policy);
            assert_eq!(said.len(), 1);
            for part in [policy, loses, "noeviction"] {
                assert!(said[0].contains(part), "{part}: {}", said[0]);
            }
        }
    }

    #[test]
    fn a_server_that_keeps_nothing_is_named_with_what_it_costs() {
        let about = |aof: u8, changes: u64, age_s: u64, saving: u8| {
            let (now, since) = (1_795_000_000, 1_795_000_000 - age_s);
            format!(
                "# Server\r\nserver_time_usec:{now}000123\r\n# Persistence\r\nrdb_changes_since_last_save:{changes}\r\n\
                 rdb_bgsave_in_progress:{saving}\r\nrdb_last_save_time:{since}\r\naof_enabled:{aof}\r\n"
            )
        };
        let said = About::of(&about(0, 41, 3 * 3_600, 0)).warnings();
        assert_eq!(said.len(), 1, "{said:?}");
        for part in ["append-only", "3 h", "41 writes", "appendonly yes"] {
            assert!(said[0].contains(part), "{part}: {}", said[0]);
        }
        for (aof, changes, age_s, saving, why) in [
            (1, 41, 3 * 3_600, 0, "it has an append-only file"),
            (0, 0, 3 * 3_600, 0, "there is nothing to keep"),
            (0, 41, SNAPSHOT_S - 1, 0, "a snapshot may be due"),
            (0, 41, 3 * 3_600, 1, "a snapshot is being made"),
        ] {
            let said = About::of(&about(aof, changes, age_s, saving)).warnings();
            assert_eq!(said, [""; 0], "{why}");
        }
        let old = about(0, 41, 3 * 3_600, 0).replace("server_time_usec", "other");
        assert_eq!(About::of(&old).warnings(), [""; 0], "the time is not told");
    }

    #[test]
    fn a_version_that_is_too_old_is_named() {
        for (version, old) in [
            ("6.2.0", false),
            ("7.4.1", false),
            ("10.0.0", false),
            ("6.0.16", true),
            ("5.0.3", true),
            ("?", false),
        ] {
            assert_eq!(
                !warnings(version, 0, "noeviction").is_empty(),
                old,
                "{version}"
            );
        }
    }

    #[test]
    fn a_server_of_another_name_is_called_by_it() {
        let about =
            About::of("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n");
        assert_eq!((about.name, about.version), (Some("valkey"), Some("8.0.1")));
        assert!(about.warnings().is_empty());
    }
}
