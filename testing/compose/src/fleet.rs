//! All services of a compose file as plain processes, started and stopped as an engine does it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::address::Addresses;
use crate::document::{Compose, Service};
use crate::process::{self, Container};

/// No service may take longer to be healthy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The services of a compose file; all end with the value.
#[derive(Debug)]
pub struct Fleet {
    compose: Compose,
    addresses: Addresses,
    /// In the order in which they were started.
    running: Vec<Container>,
    started: BTreeMap<String, usize>,
    folder: TempDir,
}

impl Fleet {
    /// Nothing runs yet; the volumes are empty folders.
    ///
    /// # Panics
    /// When there is no temporary folder.
    #[must_use]
    pub fn new(compose: Compose) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            addresses: Addresses::new(&compose, folder.path()),
            compose,
            running: Vec::new(),
            started: BTreeMap::new(),
            folder,
        }
    }

    /// Starts all services, each when those that it depends on are healthy, and waits until all are: `up --wait`.
    ///
    /// # Panics
    /// When one ends, or is not healthy after two minutes.
    pub fn start(&mut self) {
        let order = self.compose.order().expect("an order");
        let order: Vec<String> = order.into_iter().map(str::to_owned).collect();
        self.start_only(&order);
    }

    /// Starts these services in this order, whatever they depend on: `up --wait --no-deps`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_only(&mut self, services: &[impl AsRef<str>]) {
        // Between the choice of a port and its use another process may take it.
        for left in (0..5).rev() {
            let mut each = services.iter().map(|s| self.start_one(s.as_ref()));
            match each.find_map(Result::err) {
                None => return,
                Some(why) if left > 0 && why.contains("in use") && self.run_alone(services) => {
                    self.running.clear();
                    self.addresses = Addresses::new(&self.compose, self.folder.path());
                }
                Some(why) => panic!("{why}"),
            }
        }
    }

    /// Starts more containers of a service, until there are so many: `up --scale`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn scale(&mut self, service: &str, containers: usize) {
        while self.of(service).count() < containers {
            if let Err(why) = self.start_one(service) {
                panic!("{why}");
            }
        }
    }

    /// Stops all services, each before those that it depends on, and answers how each container ended: `stop`.
    ///
    /// # Panics
    /// When one has not ended after its `stop_grace_period`.
    pub fn stop(&mut self) -> Vec<(String, i32)> {
        let order = self.compose.order().expect("an order");
        let order: Vec<String> = order.into_iter().rev().map(str::to_owned).collect();
        order.iter().flat_map(|s| self.stop_one(s)).collect()
    }

    /// Stops the containers of one service: SIGTERM to each, and the service's `stop_grace_period` for their end.
    ///
    /// # Panics
    /// When one has not ended by then.
    pub fn stop_one(&mut self, service: &str) -> Vec<(String, i32)> {
        let patience = self.service(service).stop_grace_period;
        let patience = patience.expect("a stop_grace_period").0;
        let (mut these, others) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|c| c.service == service);
        self.running = others;
        for container in &these {
            container.signal("TERM");
        }
        let until = Instant::now() + patience;
        let ends = these.iter_mut().map(|container: &mut Container| {
            let left = until.saturating_duration_since(Instant::now());
            let Some(status) = container.wait(left) else {
                panic!(
                    "{} has not ended after {patience:?}:\n{}",
                    container.name,
                    container.log()
                );
            };
            (container.name.clone(), process::code(status))
        });
        ends.collect()
    }

    /// Runs the health check of the first container of a service, once.
    ///
    /// # Errors
    /// What it said, and how it ended.
    ///
    /// # Panics
    /// When none runs.
    pub fn check(&self, service: &str) -> Result<String, String> {
        let container = self.container(service);
        process::check(
            service,
            &container.name,
            self.service(service),
            &self.addresses,
        )
    }

    /// The first container of a service that was started and not stopped.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn container(&self, service: &str) -> &Container {
        let first = self.running.iter().find(|c| c.service == service);
        first.unwrap_or_else(|| panic!("no {service} runs"))
    }

    /// The containers of a service that were started and not stopped.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.running.iter().filter(move |c| c.service == service)
    }

    /// Runs a command in the environment of a service: `exec`.
    ///
    /// # Panics
    /// When it can not be started.
    #[must_use]
    pub fn exec(&self, service: &str, words: &[&str]) -> Output {
        process::exec(service, self.service(service), &self.addresses, words)
    }

    /// Where a port of a service is published, as `host:port`.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn address(&self, service: &str, port: u16) -> String {
        let here = self.addresses.port(service, port);
        let here = here.unwrap_or_else(|| panic!("{service} publishes no {port}"));
        format!("127.0.0.1:{here}")
    }

    /// The folder of a volume.
    #[must_use]
    pub fn volume(&self, name: &str) -> PathBuf {
        self.addresses.volume(name)
    }

    fn service(&self, name: &str) -> &Service {
        let service = self.compose.services.get(name);
        service.unwrap_or_else(|| panic!("there is no service {name}"))
    }

    /// Nothing but these runs: other ports disturb nobody.
    fn run_alone(&self, services: &[impl AsRef<str>]) -> bool {
        let names: Vec<&str> = services.iter().map(AsRef::as_ref).collect();
        self.running
            .iter()
            .all(|c| names.contains(&c.service.as_str()))
    }

    fn start_one(&mut self, called: &str) -> Result<(), String> {
        let number = self.started.entry(called.to_owned()).or_default();
        *number += 1;
        let name = format!("{called}-{number}");
        let service = self.service(called).clone();
        let container = Container::start(
            called,
            name.clone(),
            &service,
            &self.addresses,
            self.folder.path(),
        );
        self.running.push(container);
        let until = Instant::now() + PATIENCE;
        loop {
            let said = process::check(called, &name, &service, &self.addresses);
            let Err(why) = said else { return Ok(()) };
            let container = self.running.last_mut().expect("the one just started");
            if let Some(status) = container.ended() {
                let log = container.log();
                return Err(format!(
                    "{name} ended with {}:\n{log}",
                    process::code(status)
                ));
            }
            if Instant::now() > until {
                let log = container.log();
                return Err(format!("{name} is not healthy: {why}\n{log}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
