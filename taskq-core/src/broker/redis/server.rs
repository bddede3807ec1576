//! What the server is, and which of its settings break what we promise.

use std::time::Instant;

use redis::{Cmd, cmd};

use super::RedisBroker;
use super::value::bytes;
use crate::broker::ServerInfo;
use crate::error::{Error, ErrorKind};

/// The oldest version that knows all commands and options of the scripts.
const OLDEST: (u32, u32) = (6, 2);

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
    let asks: Vec<Cmd> = ["server", "memory"]
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
}

impl<'a> About<'a> {
    fn of(text: &'a str) -> Self {
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim())
        };
        let speaks = field("redis_version");
        Self {
            name: field("server_name"),
            version: field("valkey_version").or(speaks),
            speaks,
            limit: field("maxmemory").and_then(|n| n.parse().ok()),
            policy: field("maxmemory_policy"),
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
