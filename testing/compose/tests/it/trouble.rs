//! A part of the fleet is away: the others say so, within their deadlines, and go on when it is back.

use std::time::Duration;

use compose::{get, post};

use crate::deliveries::{all_succeed, deliveries, send, until};
use crate::files::fleet;
use crate::well::is_well;

/// What the services give a broker (3 s) or another service (2 s), and a machine that is busy. Without a deadline of their own
/// there would be no answer at all.
const IN_TIME: Duration = Duration::from_secs(15);

const DELIVERY: &str = "logistica.procesar_entrega";

#[test]
fn without_redis_all_say_so_and_with_it_they_go_on() {
    let mut fleet = fleet();
    fleet.start();
    all_succeed(&fleet, &send(&fleet, &deliveries(5)));
    assert_eq!(fleet.stop_one("redis"), [("redis-1".to_owned(), 0)]);

    let logistica = fleet.address("logistica", 5002);
    let monitor = fleet.address("monitor", 5001);
    let line = deliveries(6)[5];
    let body = format!(r#"{{"tarea":"{DELIVERY}","parametros":{line}}}"#);
    let refused = post(&logistica, "/tareas", &body).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.took < IN_TIME, "{:?}", refused.took);
    let status = get(&monitor, "/monitor/status").unwrap();
    assert_eq!(status.status, 200, "{}", status.body);
    assert!(status.took < IN_TIME, "{:?}", status.took);
    assert_eq!(status.body["broker"]["ok"], false, "{}", status.body);
    is_well(&monitor, "/servicios/logistica");
    let queues = get(&monitor, "/monitor/queue").unwrap();
    assert_eq!(queues.status, 503, "{}", queues.body);
    assert!(queues.took < IN_TIME, "{:?}", queues.took);
    // A service that lives and serves is healthy; a worker that reaches nobody is not.
    for service in ["logistica", "monitor"] {
        until(service, || fleet.check(service).ok());
    }
    let why = fleet.check("worker").unwrap_err();
    assert!(why.contains("69"), "{why}");

    fleet.start_only(&["redis"]);
    until("the worker is healthy again", || fleet.check("worker").ok());
    all_succeed(&fleet, &send(&fleet, &[line]));
}

#[test]
fn redis_may_come_last() {
    let mut fleet = fleet();
    // Without it they serve, and say what is missing.
    fleet.start_only(&["logistica", "monitor"]);
    let line = deliveries(1)[0];
    let body = format!(r#"{{"tarea":"{DELIVERY}","parametros":{line}}}"#);
    let refused = post(&fleet.address("logistica", 5002), "/tareas", &body).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.took < IN_TIME, "{:?}", refused.took);
    let monitor = fleet.address("monitor", 5001);
    let status = get(&monitor, "/monitor/status").unwrap();
    assert_eq!(status.status, 200, "{}", status.body);
    assert!(status.took < IN_TIME, "{:?}", status.took);
    assert_eq!(status.body["broker"]["ok"], false, "{}", status.body);
    is_well(&monitor, "/servicios/logistica");

    fleet.start_only(&["redis", "worker"]);
    all_succeed(&fleet, &send(&fleet, &[line]));
}

#[test]
fn without_a_worker_deliveries_wait_for_one() {
    let mut fleet = fleet();
    fleet.start();
    assert_eq!(fleet.stop_one("worker"), [("worker-1".to_owned(), 0)]);
    let monitor = fleet.address("monitor", 5001);
    let workers = get(&monitor, "/monitor/workers").unwrap();
    assert_eq!(workers.status, 200, "{}", workers.body);
    assert!(
        !workers.body.to_string().contains("worker@"),
        "{}",
        workers.body
    );
    let ids = send(&fleet, &deliveries(3));
    let queues = get(&monitor, "/monitor/queue").unwrap();
    assert_eq!(queues.status, 200, "{}", queues.body);
    fleet.scale("worker", 1);
    all_succeed(&fleet, &ids);
}

#[test]
fn a_service_that_hangs_is_told_apart_in_time() {
    let mut fleet = fleet();
    fleet.start();
    let monitor = fleet.address("monitor", 5001);
    fleet.container("logistica").signal("STOP");
    let why = fleet.check("logistica").unwrap_err();
    assert!(why.contains("has not answered within 2 s"), "{why}");
    let status = get(&monitor, "/monitor/status").unwrap();
    assert_eq!(status.status, 200, "{}", status.body);
    assert!(status.took < IN_TIME, "{:?}", status.took);
    let hangs = &status.body["servicios"]["logistica"];
    assert_eq!(hangs["ok"], false, "{hangs}");
    assert!(
        hangs["error"].as_str().is_some_and(|e| !e.is_empty()),
        "{hangs}"
    );
    is_well(&monitor, "/broker");

    fleet.container("logistica").signal("CONT");
    until("it answers again", || fleet.check("logistica").ok());
    is_well(&monitor, "/servicios/logistica");
}
