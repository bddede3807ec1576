//! All services as the compose file starts them: up, scaled, stopped in order, up again, and nothing is lost.

use compose::{Fleet, get};
use serde_json::Value;

use crate::deliveries::{all_succeed, deliveries, owed, send, stock_adds_up, until};
use crate::files::{compose, example, fleet};
use crate::well::is_well;

/// What `taskq` answers in a worker's container.
fn taskq(fleet: &Fleet, words: &[&str]) -> Value {
    let told = fleet.exec("worker", &[&["taskq"], words].concat());
    let why = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{words:?}: {why}");
    serde_json::from_slice(&told.stdout).unwrap()
}

/// The names that `taskq inspect ping` hears of; it waits no longer than until all have answered.
fn nodes(fleet: &Fleet) -> Vec<String> {
    let nodes = taskq(fleet, &["inspect", "ping", "-t", "30", "--json"]);
    let nodes = nodes.as_object().unwrap();
    nodes.keys().cloned().collect()
}

#[test]
fn stopped_in_the_middle_and_started_again_the_fleet_loses_nothing() {
    // Slow enough that there is a middle.
    let slow = example().with("LOGISTICA_LATENCY_MS", "250");
    let mut fleet = Fleet::new(compose(&slow.with("WORKER_CONCURRENCY", "4")));
    fleet.start();
    let lines = deliveries(120);
    let (first, rest) = lines.split_at(40);
    let (second, third) = rest.split_at(40);
    let mut ids = send(&fleet, first);

    fleet.scale("worker", 3);
    let three = ["worker@worker-1", "worker@worker-2", "worker@worker-3"];
    assert_eq!(nodes(&fleet), three);
    ids.extend(send(&fleet, second));
    // However fast the others end: these wait for the restart.
    taskq(&fleet, &["control", "pause", "logistica", "--json"]);
    ids.extend(send(&fleet, third));

    let ends = fleet.stop();
    let names: Vec<&str> = ends.iter().map(|(name, _)| name.as_str()).collect();
    let at = |name| names.iter().position(|n| *n == name).unwrap();
    assert!(at("logistica-1") < at("worker-1") && at("worker-3") < at("redis-1"));
    assert_eq!(at("redis-1"), names.len() - 1, "{names:?}");
    assert!(ends.iter().all(|(_, code)| *code == 0), "{ends:?}");

    // The volumes are all that is left of it.
    fleet.start_only(&["redis", "logistica", "monitor"]);
    let left = owed(&fleet, &ids);
    assert!(left >= third.len(), "{left} of {}", third.len());
    fleet.scale("worker", 2);
    taskq(&fleet, &["control", "resume", "logistica", "--json"]);
    all_succeed(&fleet, &ids);
    stock_adds_up(&fleet, &lines);
    assert!(fleet.stop().iter().all(|(_, code)| *code == 0));
}

#[test]
fn the_monitor_sees_all_of_them() {
    let mut fleet = fleet();
    fleet.start();
    for service in ["redis", "worker", "logistica", "monitor"] {
        let said = until(service, || fleet.check(service).ok());
        assert!(!said.is_empty(), "{service}");
    }
    fleet.scale("worker", 3);
    all_succeed(&fleet, &send(&fleet, &deliveries(20)));
    let monitor = fleet.address("monitor", 5001);
    is_well(&monitor, "/servicios/logistica");
    let workers = get(&monitor, "/monitor/workers").unwrap();
    let text = workers.body.to_string();
    for node in ["worker@worker-1", "worker@worker-2", "worker@worker-3"] {
        assert!(text.contains(node), "{text}");
    }
    let queues = get(&monitor, "/monitor/queue").unwrap();
    assert!(
        queues.body.to_string().contains("logistica"),
        "{}",
        queues.body
    );
}

/// The guide's way without Redis: the broker is a file on the volume, and Redis is never started.
#[test]
fn over_one_file_no_redis_is_needed() {
    let file = example().with("TASKQ_BROKER_URL", "sqlite:///datos/taskq.db");
    let mut fleet = Fleet::new(compose(&file));
    fleet.start_only(&["worker", "logistica", "monitor"]);
    let lines = deliveries(50);
    let ids = send(&fleet, &lines);
    fleet.scale("worker", 2);
    all_succeed(&fleet, &ids);
    stock_adds_up(&fleet, &lines);
    assert!(fleet.volume("datos").join("taskq.db").is_file());
    let ends = fleet.stop();
    assert_eq!(ends.len(), 4, "{ends:?}");
    assert!(ends.iter().all(|(_, code)| *code == 0), "{ends:?}");
}
