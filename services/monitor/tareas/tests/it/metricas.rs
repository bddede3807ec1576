//! `monitor.generate_metrics`.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_worker::testing::{Fault, TestBroker};

use crate::taller::{bitacora, llamada, llamar, resultado, taller};

const METRICAS: &str = "monitor.generate_metrics";
const ANOTAR: &str = "monitor.log_activity";

async fn metricas(broker: &TestBroker) -> Value {
    resultado(&llamar(broker, METRICAS, &json!({})).await)
}

async fn anotar(broker: &TestBroker, evento: &str) {
    llamar(broker, ANOTAR, &json!({"evento": evento})).await;
}

fn cuentas(valor: &Value, campos: [&str; 4]) -> [u64; 4] {
    campos.map(|campo| valor[campo].as_u64().unwrap())
}

const COLA: [&str; 4] = ["sent", "succeeded", "failed", "retried"];
const TAREA: [&str; 4] = ["sent", "started", "succeeded", "failed"];

#[taskq_worker::test(worker = taller(""))]
async fn the_first_run_counts_all_and_the_next_what_came_since(broker: TestBroker) {
    anotar(&broker, "una").await;
    anotar(&broker, " ").await;
    let primera = metricas(&broker).await;
    assert_eq!(primera["desde"], Value::Null);
    let cola = &primera["colas"]["monitor"];
    assert_eq!(
        (&cola["diferencia"], &cola["reinicio"]),
        (&json!(null), &json!(false))
    );
    // Its own call has been sent and has not ended.
    assert_eq!(cuentas(&cola["totales"], COLA), [3, 1, 1, 0]);
    let tarea = &primera["tareas"]["por_tarea"][ANOTAR];
    assert_eq!(cuentas(tarea, TAREA), [2, 2, 1, 1]);
    assert!(tarea["runtime_ms"]["media"].is_number(), "{tarea}");
    assert_eq!(primera["tareas"]["completo"], true);
    assert!(primera["tareas"]["desde"].is_string(), "{primera}");

    broker.advance(Duration::from_secs(60)).await;
    anotar(&broker, "otra").await;
    let segunda = metricas(&broker).await;
    assert_eq!(segunda["desde"], primera["hasta"]);
    let cola = &segunda["colas"]["monitor"];
    assert_eq!(cola["desde"], primera["hasta"]);
    assert_eq!(cuentas(&cola["diferencia"], COLA), [2, 2, 0, 0]);
    let tareas = &segunda["tareas"];
    assert_eq!(tareas["desde"], primera["tareas"]["hasta"]);
    assert_eq!(cuentas(&tareas["por_tarea"][ANOTAR], TAREA), [1, 1, 1, 0]);
    // The first run's end was told after it had read.
    assert_eq!(cuentas(&tareas["por_tarea"][METRICAS], TAREA)[2], 1);
    assert_eq!(tareas["perdidos"], false);
}

/// Its worker dies when it has counted: who counts again counts the same span, for no other run ended in between.
#[taskq_worker::test(worker = taller(""))]
async fn a_run_that_is_repeated_counts_the_same_span(broker: TestBroker) {
    anotar(&broker, "una").await;
    let primera = metricas(&broker).await;
    anotar(&broker, "otra").await;
    broker.inject(Fault::CrashBeforeFinish);
    let call = llamada(METRICAS, &json!({}));
    let id = broker.client().send(call).await.unwrap().id();
    assert_eq!(broker.drain_all().await.crashed, 1);
    let segunda = resultado(&broker.record(id).await.unwrap());
    let cola = &segunda["colas"]["monitor"];
    assert_eq!(cola["desde"], primera["hasta"]);
    assert_eq!(cuentas(&cola["diferencia"], COLA), [2, 2, 0, 0]);
    assert_eq!(cola["diferencia"]["crashed"], 1);
    let tarea = &segunda["tareas"]["por_tarea"][ANOTAR];
    assert_eq!(cuentas(tarea, TAREA), [1, 1, 1, 0]);
}

/// The same file with an empty broker.
#[taskq_worker::test(worker = taller(""))]
async fn totals_that_went_back_are_told_as_a_reset_once(antes: TestBroker) {
    for evento in ["una", "dos", "tres"] {
        anotar(&antes, evento).await;
    }
    let lejos = llamada("x", &json!({})).queue("otra");
    antes.client().send(lejos).await.unwrap();
    metricas(&antes).await;

    let ruta = bitacora(&antes).ruta().to_owned();
    let despues = TestBroker::builder()
        .worker(move |worker| {
            let bitacora = monitor_dominio::Bitacora::abrir(ruta).unwrap();
            let servicios = "".parse().unwrap();
            let worker = taller("")(worker);
            worker.state(monitor_tareas::Monitor::nuevo(bitacora, servicios))
        })
        .build()
        .unwrap();
    let reinicio = metricas(&despues).await;
    for cola in ["monitor", "otra"] {
        let cola = &reinicio["colas"][cola];
        assert_eq!(
            (&cola["reinicio"], &cola["diferencia"]),
            (&json!(true), &json!(null)),
            "{cola}"
        );
        assert!(cola["desde"].is_string(), "{cola}");
    }
    assert_eq!(reinicio["colas"]["monitor"]["totales"]["sent"], 1);
    assert_eq!(reinicio["tareas"]["perdidos"], true, "{reinicio}");

    let luego = metricas(&despues).await;
    assert_eq!(luego["colas"]["monitor"]["reinicio"], false);
    assert_eq!(
        cuentas(&luego["colas"]["monitor"]["diferencia"], COLA),
        [1, 1, 0, 0]
    );
    assert_eq!(
        luego["colas"]["otra"],
        Value::Null,
        "it is gone, and was told"
    );
}
