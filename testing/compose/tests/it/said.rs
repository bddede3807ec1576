//! What `docker-compose.yml` says; and that no line of it could be missing.

use compose::{Compose, Settings, faults};

use crate::files::{compose, example, file};

#[test]
fn the_compose_file_says_what_it_must() {
    let found = faults(&file("docker-compose.yml"), &file(".env.example"));
    assert!(found.is_empty(), "{found:#?}");
}

/// Each line, with what belongs to it, taken out: something is missing.
#[test]
fn no_line_of_the_compose_file_can_be_taken_out() {
    let text = file("docker-compose.yml");
    let example = file(".env.example");
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || line.trim().starts_with('#') {
            continue;
        }
        let without = without_block(&lines, at);
        assert!(
            !faults(&without, &example).is_empty(),
            "nobody misses line {}: {line}",
            at + 1
        );
        tried += 1;
    }
    assert!(tried > 80, "{tried} lines");
}

/// All lines but that at `at` and those that are indented below it.
fn without_block(lines: &[&str], at: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let deeper = |line: &&&str| line.trim().is_empty() || indent(line) > indent(lines[at]);
    let block = lines[at + 1..].iter().take_while(deeper).count();
    let kept = lines[..at].iter().chain(&lines[at + 1 + block..]);
    kept.copied().collect::<Vec<_>>().join("\n")
}

/// What a fault is called, so that the right rule is the one that sees it.
#[test]
fn each_fault_is_named() {
    let text = file("docker-compose.yml");
    let example = file(".env.example");
    for (from, to, fault) in [
        (
            "read_only: true",
            "read_only: false",
            "worker: its root file system",
        ),
        (
            "user: \"10001:10001\"",
            "user: \"0:0\"",
            "logistica: it runs as root",
        ),
        ("user: redis", "user: root", "redis: it runs as root"),
        (
            "cap_drop: [ALL]",
            "cap_drop: [CHOWN]",
            "monitor: it keeps capabilities",
        ),
        (
            "no-new-privileges:true",
            "label:x",
            "worker: it may gain rights",
        ),
        (
            "tmpfs: [/tmp]",
            "tmpfs: [/run]",
            "worker: it has no tmpfs at /tmp",
        ),
        (
            "restart: unless-stopped",
            "restart: \"no\"",
            "worker: nobody starts it again",
        ),
        ("max-size: 10m, ", "", "redis: its log has no bound"),
        (
            "stop_grace_period: 40s",
            "stop_grace_period: 30s",
            "worker: stop_grace_period leaves",
        ),
        (
            "--grace\n      - \"25\"",
            "--grace\n      - \"36\"",
            "worker: stop_grace_period leaves",
        ),
        (
            "worker@%h",
            "worker",
            "worker: several of them have one name",
        ),
        (
            "worker@%h",
            "w@%h",
            "worker: its healthcheck does not ask for its own",
        ),
        (
            "@$$HOSTNAME",
            "@here",
            "worker: its healthcheck does not ask for its own",
        ),
        (
            "celery,logistica,monitor",
            "celery,logistica",
            "worker: it does not take",
        ),
        (
            "\"127.0.0.1:${LOGISTICA_PORT",
            "\"${LOGISTICA_PORT",
            "logistica: a port is published beyond",
        ),
        (
            "PORT: \"5002\"",
            "PORT: \"5003\"",
            "logistica: its PORT is 5003",
        ),
        (
            "[CMD, monitor, --check]",
            "[CMD, logistica, --check]",
            "monitor: its healthcheck is not",
        ),
        (
            "noeviction",
            "allkeys-lru",
            "redis: it throws messages away",
        ),
        (
            "--appendonly\n      - \"yes\"",
            "--appendonly\n      - \"no\"",
            "redis: it keeps no append-only",
        ),
        (
            "redis:/data\"",
            "redis:/var\"",
            "redis: what it keeps is on no volume",
        ),
        (
            "redis:7.2-bookworm",
            "redis:latest",
            "redis: its image has no version",
        ),
        (
            "/datos/monitor.db",
            "/var/monitor.db",
            "monitor: MONITOR_DB lies on no volume",
        ),
        (
            "LOGLEVEL:-info",
            "LOGLEVEL:-debug",
            "LOGLEVEL is debug without a setting",
        ),
        (
            "redis: {condition: service_healthy}",
            "redis: {condition: service_started}",
            "worker: it does not wait until redis",
        ),
        (
            "interval: 10s",
            "interval: 10m",
            "worker: its healthcheck takes more than 30 s",
        ),
        (
            "retries: 3",
            "retries: 1",
            "redis: its healthcheck gives up at once",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let found = faults(&text.replace(from, to), &example);
        assert!(
            found.iter().any(|f| f.starts_with(fault)),
            "{from} -> {to}: {found:#?}"
        );
    }
    // One service with a value of its own.
    let (head, tail) = text
        .rsplit_once("LOGISTICA_DB: /datos/logistica.db")
        .unwrap();
    let other = format!("{head}LOGISTICA_DB: /datos/other.db{tail}");
    let found = faults(&other, &example);
    assert_eq!(found, ["LOGISTICA_DB is not the same everywhere"]);
}

#[test]
fn the_example_settings_are_those_that_hold_without_any() {
    let with = format!("{:?}", compose(&example()));
    let none = Compose::read(&file("docker-compose.yml"), &Settings::default()).unwrap();
    assert_eq!(with, format!("{none:?}"));
    let more = format!("{}\nMORE=1\n", file(".env.example"));
    let found = faults(&file("docker-compose.yml"), &more);
    assert_eq!(found, ["nothing takes up the setting MORE"]);
    let fewer = file(".env.example").replace("REDIS_PORT=", "# ");
    let found = faults(&file("docker-compose.yml"), &fewer);
    assert_eq!(found, ["the example settings do not tell REDIS_PORT"]);
}

#[test]
fn services_are_stopped_before_those_that_they_need() {
    let compose = compose(&example());
    let order = compose.order().unwrap();
    let at = |name| order.iter().position(|s| *s == name).unwrap();
    assert_eq!(at("redis"), 0);
    assert!(at("worker") < at("logistica"), "{order:?}");
}
