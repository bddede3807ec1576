//! What each task does, and which of its failures are tried again.

use serde_json::{Value, json};
use taskq_client::{Record, State};
use taskq_worker::testing::{Drained, Ended, Fault, TestBroker};

use crate::taller::{informe, intentar, llamada, llamar, taller};

pub(crate) const PROCESAR: &str = "logistica.procesar_entrega";

pub(crate) fn entrega(cantidad: u32) -> Value {
    json!({
        "entrega_id": "ENT-1", "sku": "PROD001", "producto": "panela orgánica 500 g",
        "cantidad": cantidad, "peso_kg": 1.0,
        "origen": {"geonameid": 3688689, "ciudad": "Bogotá", "lat": 4.60971, "lon": -74.08175},
        "destino": {"geonameid": 3687925, "ciudad": "Cali", "lat": 3.43054, "lon": -76.5199},
        "fecha_promesa": "2026-11-30",
    })
}

pub(crate) fn resultado(registro: &Record) -> Value {
    assert_eq!(registro.state, State::Success, "{:?}", registro.error);
    serde_json::from_str(registro.result.as_ref().unwrap().get()).unwrap()
}

/// It failed for good at its first attempt, with an error of this type.
pub(crate) fn fallo_definitivo(registro: &Record, tipo: &str) {
    let error = registro.error.as_ref().unwrap();
    assert_eq!(
        (registro.state, registro.attempts),
        (State::Failure, 1),
        "{error:?}"
    );
    assert!(error.kind.ends_with(tipo), "{error:?}");
}

#[taskq_worker::test(worker = taller(0.0))]
async fn a_delivery_is_booked_once_however_often_it_is_sent(broker: TestBroker) {
    let primero = resultado(&llamar(&broker, PROCESAR, &entrega(2)).await);
    assert_eq!(
        (&primero["entrega_id"], &primero["distancia_km"]),
        (&json!("ENT-1"), &json!(300.55))
    );
    let otra_vez = llamar(&broker, PROCESAR, &entrega(2)).await;
    assert_eq!(resultado(&otra_vez), primero);
    let informe = informe(&broker);
    assert_eq!((informe.reservas, informe.unidades_reservadas), (1, 2));
}

/// Its worker dies when it has booked, or a second one books beside it: the stock is taken once.
#[taskq_worker::test(worker = taller(0.0))]
async fn a_delivery_is_booked_once_however_often_it_runs(broker: TestBroker) {
    for (fallo, corridas) in [(Fault::CrashBeforeFinish, 1), (Fault::DuplicateDelivery, 0)] {
        let call = llamada(PROCESAR, &entrega(2));
        let id = broker.client().send(call).await.unwrap().id();
        broker.inject(fallo);
        let fin = broker.drain_all().await;
        assert_eq!((fin.crashed, fin.done), (corridas, 1), "{fallo:?}");
        resultado(&broker.record(id).await.unwrap());
        let informe = informe(&broker);
        assert_eq!((informe.reservas, informe.unidades_reservadas), (1, 2));
        assert_eq!(informe.hallazgos.len(), 0, "{fallo:?}");
    }
}

#[taskq_worker::test(worker = taller(0.0))]
async fn what_another_attempt_can_not_mend_fails_at_once(broker: TestBroker) {
    let definitivo = async |cantidad, tipo| {
        fallo_definitivo(&llamar(&broker, PROCESAR, &entrega(cantidad)).await, tipo);
    };
    definitivo(10_000, "AlmacenError").await;
    definitivo(10_001, "EntregaInvalida").await;
    resultado(&llamar(&broker, PROCESAR, &entrega(1)).await);
    definitivo(2, "AlmacenError").await;
    assert_eq!(informe(&broker).unidades_reservadas, 1);
}

#[taskq_worker::test(worker = taller(1.0))]
async fn an_unreachable_warehouse_system_is_tried_again_and_books_nothing_meanwhile(
    broker: TestBroker,
) {
    let intento = intentar(&broker, PROCESAR, &entrega(1)).await;
    assert!(matches!(intento.ended, Ended::Retry { .. }), "{intento}");
    let error = intento.record.unwrap().error.unwrap();
    assert!(error.kind.ends_with("BodegaInalcanzable"), "{error:?}");
    assert_eq!(informe(&broker).reservas, 0);
    // Fifteen times more, then it is over.
    let fin = broker.drain_all().await;
    assert_eq!(
        fin,
        Drained {
            retried: 14,
            failed: 1,
            ..Drained::default()
        }
    );
    assert_eq!(broker.record(intento.id).await.unwrap().attempts, 16);
    assert_eq!(informe(&broker).reservas, 0);
}

#[taskq_worker::test(worker = taller(0.0))]
async fn the_stock_is_checked_whole_or_by_product(broker: TestBroker) {
    const VALIDAR: &str = "logistica.validar_inventario";
    resultado(&llamar(&broker, PROCESAR, &entrega(2)).await);
    let todo = resultado(&llamar(&broker, VALIDAR, &json!({})).await);
    let cuentas = [&todo["lineas"], &todo["reservas"], &todo["hallazgos"]];
    assert_eq!(cuentas, [&json!(120), &json!(1), &json!([])]);
    let uno = json!({"sku": "PROD001"});
    let uno = resultado(&llamar(&broker, VALIDAR, &uno).await);
    assert_eq!(
        (&uno["lineas"], &uno["unidades_reservadas"]),
        (&json!(6), &json!(2))
    );
    let nada = json!({"sku": "NADA"});
    fallo_definitivo(&llamar(&broker, VALIDAR, &nada).await, "AlmacenError");
}
