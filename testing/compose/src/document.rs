//! A compose file, as far as this project uses the format: what it does not know it refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::settings::Settings;

/// A compose file with its settings filled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// What is started, by name.
    pub services: BTreeMap<String, Service>,
    /// The volumes that have a name.
    pub volumes: BTreeMap<String, Option<Value>>,
}

/// One service: the containers of one command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the compose format")]
pub struct Service {
    pub image: String,
    pub build: Option<String>,
    pub pull_policy: Option<String>,
    pub command: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    pub user: Option<String>,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub tmpfs: Vec<String>,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub security_opt: Vec<String>,
    pub restart: Option<String>,
    pub logging: Option<Logging>,
    #[serde(default)]
    pub volumes: Vec<String>,
    #[serde(default)]
    pub ports: Vec<String>,
    pub stop_grace_period: Option<Span>,
    pub healthcheck: Option<HealthCheck>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
}

/// Where the log goes, and its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the compose format")]
pub struct Logging {
    pub driver: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// How a container's health is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the compose format")]
pub struct HealthCheck {
    pub test: Vec<String>,
    pub interval: Span,
    pub timeout: Span,
    pub retries: u32,
    pub start_period: Span,
}

/// What a service waits for before it is started.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the compose format")]
pub struct Dependency {
    pub condition: String,
}

/// A time: `40s`, `2m`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(
    /// How long it is.
    pub Duration,
);

impl Compose {
    /// Reads a compose file and fills the settings in.
    ///
    /// # Errors
    /// What is no YAML, a name that is unknown, a value of another kind, or a `$` that can not be filled in.
    pub fn read(text: &str, settings: &Settings) -> Result<Self, String> {
        let mut value: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        if let Some(fields) = value.as_object_mut() {
            // What begins so is there to be taken up elsewhere in the file.
            fields.retain(|name, _| !name.starts_with("x-"));
        }
        let value = settings.fill(value)?;
        serde_json::from_value(value).map_err(|e| e.to_string())
    }

    /// The services in an order in which each stands behind those that it depends on.
    ///
    /// # Errors
    /// Some that depend on one another, or on one that is not there.
    pub fn order(&self) -> Result<Vec<&str>, String> {
        let mut order: Vec<&str> = Vec::new();
        while order.len() < self.services.len() {
            let next = self.services.iter().find(|(name, service)| {
                let mut needed = service.depends_on.keys();
                !order.contains(&name.as_str()) && needed.all(|n| order.contains(&n.as_str()))
            });
            let Some((name, _)) = next else {
                let left = self
                    .services
                    .keys()
                    .filter(|n| !order.contains(&n.as_str()));
                let left: Vec<_> = left.map(String::as_str).collect();
                return Err(format!(
                    "{} can never be started: see their depends_on",
                    left.join(", ")
                ));
            };
            order.push(name);
        }
        Ok(order)
    }
}

impl Service {
    /// Whether its program is one of this repository: its image is of our own making.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.image.starts_with("taskq-")
    }

    /// The ports that it listens on, by where they are published.
    #[must_use]
    pub fn container_ports(&self) -> Vec<u16> {
        let ports = self.ports.iter().filter_map(|port| port.rsplit(':').next());
        ports.filter_map(|port| port.parse().ok()).collect()
    }

    /// The named volumes that it sees, with their paths.
    #[must_use]
    pub fn mounts(&self) -> Vec<(&str, &str)> {
        let volumes = self.volumes.iter();
        volumes.filter_map(|v| v.split_once(':')).collect()
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is no time, such as 40s or 1m30s"))
        })
    }
}

fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match rest.get(..letters)? {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            _ => return None,
        };
        total += unit.checked_mul(number)?;
        rest = rest.get(letters..)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_units() {
        for (text, seconds) in [("40s", 40), ("1m30s", 90), ("2h", 7_200)] {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(span("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "40", "s", "4 s", "-1s", "1d", "99999999999s"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    fn read(text: &str) -> Result<Compose, String> {
        Compose::read(text, &Settings::default())
    }

    #[test]
    fn what_is_merged_in_is_there_and_what_is_said_on_the_spot_goes_before_it() {
        let text = "
x-all: &all
  image: a:1
  read_only: true
  tmpfs: [/tmp]
services:
  one:
    <<: *all
    command: [one, \"${N:-2}\", '$$X']
    read_only: false
  two:
    <<: *all
    command: [two]
    depends_on:
      one: {condition: service_healthy}
volumes: {}
";
        let compose = read(text).expect("a compose file");
        let one = &compose.services["one"];
        assert_eq!(one.command, ["one", "2", "$X"]);
        assert!(!one.read_only && compose.services["two"].read_only);
        assert_eq!((one.image.as_str(), one.tmpfs.len()), ("a:1", 1));
        assert_eq!(compose.order().expect("an order"), ["one", "two"]);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let error = read("services:\n  a: {image: a, command: [a], helthcheck: {}}\nvolumes: {}\n");
        assert!(error.unwrap_err().contains("helthcheck"));
        let twice = "services:\n  a: {image: a, command: [a], image: b}\nvolumes: {}\n";
        assert!(read(twice).is_err());
        let circle = "
services:
  a: {image: a, command: [a], depends_on: {b: {condition: service_healthy}}}
  b: {image: a, command: [a], depends_on: {a: {condition: service_healthy}}}
volumes: {}
";
        let compose = read(circle).expect("a compose file");
        assert!(compose.order().unwrap_err().contains("a, b"));
    }
}
