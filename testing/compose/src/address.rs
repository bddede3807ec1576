//! Where on this machine lies what a container names: `redis:6379`, `/datos`, its own name.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::document::{Compose, Service};

/// Below the ports that systems give to outgoing connections: none of those takes one while its service is stopped.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports were looked at.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// A port of this machine for each port of a service, and a folder for each volume.
#[derive(Debug)]
pub(crate) struct Addresses {
    ports: BTreeMap<(String, u16), u16>,
    folder: PathBuf,
}

impl Addresses {
    /// Ports that are free now, and volumes in `folder`.
    pub(crate) fn new(compose: &Compose, folder: &Path) -> Self {
        let services = compose.services.iter();
        let ports = services.flat_map(|(name, service)| {
            let ports = service.container_ports().into_iter();
            ports.map(move |port| ((name.clone(), port), free_port()))
        });
        Self {
            ports: ports.collect(),
            folder: folder.to_owned(),
        }
    }

    /// The port of this machine for one of `service`.
    pub(crate) fn port(&self, service: &str, port: u16) -> Option<u16> {
        self.ports.get(&(service.to_owned(), port)).copied()
    }

    /// The folder of a volume.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `text`, as it reads here: other services by their ports of this machine, paths on volumes by their folders.
    pub(crate) fn here(&self, service: &Service, text: &str) -> String {
        let mut text = text.to_owned();
        for ((name, port), here) in &self.ports {
            text = text.replace(&format!("{name}:{port}"), &format!("127.0.0.1:{here}"));
        }
        for (volume, path) in service.mounts() {
            let folder = self.volume(volume).display().to_string();
            text = text.replace(&format!("{path}/"), &format!("{folder}/"));
        }
        text
    }
}

/// A port that nobody listens at. Each process begins elsewhere, so that two rarely choose the same.
fn free_port() -> u16 {
    let many = u32::from(PORTS.end - PORTS.start);
    loop {
        let looked = LOOKED.fetch_add(1, Ordering::Relaxed);
        assert!(looked < many, "no port is free from {PORTS:?}");
        let at = process::id().wrapping_mul(97).wrapping_add(looked) % many;
        let port = PORTS.start + u16::try_from(at).expect("a port of the range");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn hosts_and_volumes_are_found_here() {
        let text = "
services:
  redis: {image: r, command: [r], ports: ['127.0.0.1:1:6379']}
  one: {image: o, command: [o], volumes: ['data:/datos'], ports: ['127.0.0.1:2:5002']}
volumes: {data: }
";
        let compose = Compose::read(text, &Settings::default()).expect("a compose file");
        let addresses = Addresses::new(&compose, Path::new("/tmp/x"));
        let one = &compose.services["one"];
        let redis = addresses.port("redis", 6379).expect("a port");
        let port = addresses.port("one", 5002).expect("a port");
        for (there, here) in [
            (
                "redis://redis:6379/0",
                format!("redis://127.0.0.1:{redis}/0"),
            ),
            (
                "one=http://one:5002",
                format!("one=http://127.0.0.1:{port}"),
            ),
            ("/datos/a.db", "/tmp/x/data/a.db".to_owned()),
            (
                "sqlite:///datos/a.db",
                "sqlite:///tmp/x/data/a.db".to_owned(),
            ),
            ("http://localhost:4200", "http://localhost:4200".to_owned()),
        ] {
            assert_eq!(addresses.here(one, there), here);
        }
    }
}
