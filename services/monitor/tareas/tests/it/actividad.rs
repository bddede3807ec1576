//! `monitor.log_activity`.

use serde_json::json;
use taskq_worker::testing::{Fault, TestBroker};

use crate::taller::{bitacora, fallo_definitivo, llamada, llamar, resultado, taller};

const ANOTAR: &str = "monitor.log_activity";

#[taskq_worker::test(worker = taller(""))]
async fn an_event_is_noted_with_or_without_a_detail(broker: TestBroker) {
    let con = json!({"evento": "turno", "detalle": {"bodega": "Bogotá"}});
    let primera = resultado(&llamar(&broker, ANOTAR, &con).await);
    let sin = resultado(&llamar(&broker, ANOTAR, &json!({"evento": "fin"})).await);
    assert_eq!((&primera["id"], &sin["id"]), (&json!(1), &json!(2)));
    assert!(sin["cuando"].as_str().unwrap().ends_with('Z'), "{sin}");
    let notas = bitacora(&broker).actividad(10, None).unwrap();
    assert_eq!(notas.len(), 2);
    assert_eq!(notas[1].detalle, Some(json!({"bodega": "Bogotá"})));
    assert_eq!((&*notas[0].evento, &notas[0].detalle), ("fin", &None));
}

/// Its worker dies when it has noted, or a second one notes beside it: it is noted once.
#[taskq_worker::test(worker = taller(""))]
async fn an_event_is_noted_once_however_often_it_runs(broker: TestBroker) {
    for (fallo, notas) in [(Fault::CrashBeforeFinish, 1), (Fault::DuplicateDelivery, 2)] {
        let call = llamada(ANOTAR, &json!({"evento": "turno"}));
        let id = broker.client().send(call).await.unwrap().id();
        broker.inject(fallo);
        broker.drain_all().await;
        let anotada = resultado(&broker.record(id).await.unwrap());
        let kept = bitacora(&broker).actividad(10, None).unwrap();
        assert_eq!(kept.len(), notas, "{fallo:?}");
        assert_eq!(anotada["id"], kept[0].id, "{fallo:?}");
    }
}

#[taskq_worker::test(worker = taller(""))]
async fn what_another_attempt_can_not_mend_fails_at_once(broker: TestBroker) {
    for parametros in [
        json!({"evento": "  "}),
        json!({"evento": "x".repeat(201)}),
        json!({"evento": "x", "detalle": "x".repeat(9_000)}),
    ] {
        let registro = llamar(&broker, ANOTAR, &parametros).await;
        fallo_definitivo(&registro, "NotaInvalida");
    }
    assert_eq!(bitacora(&broker).actividad(10, None).unwrap(), []);
}
