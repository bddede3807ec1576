//! What holds between services: who is there, what they share, and who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Compose, Service};

/// The services, the variables that each needs, and whom it waits for.
const NEEDED: [(&str, &[&str], &[&str]); 4] = [
    ("redis", &[], &[]),
    (
        "worker",
        &[
            "TASKQ_BROKER_URL",
            "LOGISTICA_DB",
            "LOGISTICA_FAULT_RATE",
            "LOGISTICA_LATENCY_MS",
            "MONITOR_DB",
            "SERVICIOS",
        ],
        &["redis"],
    ),
    (
        "logistica",
        &[
            "PORT",
            "TASKQ_BROKER_URL",
            "LOGISTICA_DB",
            "CORS_ORIGIN",
            "LOGLEVEL",
        ],
        &["redis", "worker"],
    ),
    (
        "monitor",
        &[
            "PORT",
            "TASKQ_BROKER_URL",
            "MONITOR_DB",
            "SERVICIOS",
            "CORS_ORIGIN",
            "LOGLEVEL",
        ],
        &["redis"],
    ),
];

pub(super) fn faults(document: &Compose) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, variables, before) in NEEDED {
        let Some(service) = document.services.get(name) else {
            faults.push(format!("there is no service {name}"));
            continue;
        };
        let missing = |wanted: &&&str| !service.environment.contains_key(**wanted);
        for variable in variables.iter().filter(missing) {
            faults.push(format!("{name}: {variable} is not set"));
        }
        for other in before
            .iter()
            .filter(|o| !service.depends_on.contains_key(**o))
        {
            faults.push(format!("{name}: it does not wait for {other}"));
        }
    }
    for (name, service) in &document.services {
        let own = own_program(name, service).into_iter();
        let web = listening(name, service).into_iter();
        let kept = paths(document, service).into_iter();
        let found = own.chain(web).chain(kept);
        faults.extend(found.map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(image(document));
    faults.extend(volumes(document));
    faults.extend(shared(document));
    faults
}

/// The programs of this repository are called as their services are, and come from its image.
fn own_program(name: &str, service: &Service) -> Vec<String> {
    if name == "redis" {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if service
        .command
        .first()
        .is_none_or(|program| program != name)
    {
        faults.push(format!("its command is not {name}"));
    }
    if !service.is_ours() {
        faults.push("it is not built from this repository".into());
    }
    faults
}

/// Our image is built once: builds of the same name beside each other may take it from one another. Nobody looks for it elsewhere.
fn image(document: &Compose) -> Vec<String> {
    let mut faults = Vec::new();
    let ours = || document.services.iter().filter(|(_, s)| s.is_ours());
    let images: BTreeSet<&str> = ours().map(|(_, s)| s.image.as_str()).collect();
    if images.len() > 1 {
        faults.push(format!("our programs come from several images: {images:?}"));
    }
    let built = ours().filter(|(_, s)| s.build.as_deref() == Some("."));
    if built.count() != 1 {
        faults.push("not one service builds our image".into());
    }
    let pulled =
        ours().filter(|(_, s)| s.build.is_none() && s.pull_policy.as_deref() != Some("never"));
    faults.extend(pulled.map(|(name, _)| format!("{name}: our image is looked for in a registry")));
    faults
}

/// What has a `PORT` is published there, and answers `--check`.
fn listening(name: &str, service: &Service) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(port) = service.environment.get("PORT") else {
        return faults;
    };
    let published = service.container_ports();
    if published.len() != 1 || published[0].to_string() != *port {
        faults.push(format!(
            "its PORT is {port}, and published is {published:?}"
        ));
    }
    let asked = ["CMD", name, "--check"].map(String::from);
    let check = service.healthcheck.as_ref();
    if check.is_none_or(|check| check.test != asked) {
        faults.push(format!("its healthcheck is not {name} --check"));
    }
    faults
}

/// Files lie on a volume: the rest of the file system can not be written to.
fn paths(document: &Compose, service: &Service) -> Vec<String> {
    let mut faults = Vec::new();
    let on_volume = |path: &str| {
        let mut mounts = service.mounts().into_iter();
        mounts.any(|(_, at)| path.strip_prefix(at).is_some_and(|p| p.starts_with('/')))
    };
    let files = service
        .environment
        .iter()
        .filter(|(_, v)| v.starts_with('/'));
    for (variable, _) in files.filter(|(_, path)| !on_volume(path)) {
        faults.push(format!("{variable} lies on no volume"));
    }
    for (volume, _) in service.mounts() {
        if !document.volumes.contains_key(volume) {
            faults.push(format!("the volume {volume} is not declared"));
        }
    }
    faults
}

fn volumes(document: &Compose) -> Vec<String> {
    let services = document.services.values();
    let used: BTreeSet<&str> = services.flat_map(Service::mounts).map(|(v, _)| v).collect();
    let unused = document
        .volumes
        .keys()
        .filter(|v| !used.contains(v.as_str()));
    unused
        .map(|v| format!("nobody uses the volume {v}"))
        .collect()
}

/// A variable that several services have says the same to all: they share what it names. Ports are each one's own.
fn shared(document: &Compose) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for service in document.services.values() {
        for (name, value) in service.environment.iter().filter(|(n, _)| *n != "PORT") {
            values.entry(name).or_default().insert(value);
        }
    }
    let several = values.into_iter().filter(|(_, values)| values.len() > 1);
    several
        .map(|(name, _)| format!("{name} is not the same everywhere"))
        .collect()
}
