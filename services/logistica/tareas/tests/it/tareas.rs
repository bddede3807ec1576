//! What each task does, and which of its failures are tried again.

use serde_json::{Value, json};
use taskq_client::{Record, State};

use crate::taller::Taller;

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

#[tokio::test]
async fn a_delivery_is_booked_once_however_often_it_is_sent() {
    let taller = Taller::nuevo(0.0);
    let primero = resultado(&taller.llamar(PROCESAR, &entrega(2)).await);
    assert_eq!(
        (&primero["entrega_id"], &primero["distancia_km"]),
        (&json!("ENT-1"), &json!(300.55))
    );
    assert_eq!(
        resultado(&taller.llamar(PROCESAR, &entrega(2)).await),
        primero
    );
    let informe = taller.almacen.validar(None).unwrap();
    assert_eq!((informe.reservas, informe.unidades_reservadas), (1, 2));
}

#[tokio::test]
async fn what_another_attempt_can_not_mend_fails_at_once() {
    let taller = Taller::nuevo(0.0);
    fallo_definitivo(
        &taller.llamar(PROCESAR, &entrega(10_000)).await,
        "AlmacenError",
    );
    fallo_definitivo(
        &taller.llamar(PROCESAR, &entrega(10_001)).await,
        "EntregaInvalida",
    );
    resultado(&taller.llamar(PROCESAR, &entrega(1)).await);
    fallo_definitivo(&taller.llamar(PROCESAR, &entrega(2)).await, "AlmacenError");
    assert_eq!(taller.almacen.validar(None).unwrap().unidades_reservadas, 1);
}

#[tokio::test]
async fn an_unreachable_warehouse_system_is_tried_again_and_books_nothing_meanwhile() {
    let taller = Taller::nuevo(1.0);
    let registro = taller.hasta_reintento(PROCESAR, &entrega(1)).await;
    let error = registro.error.unwrap();
    assert!(error.kind.ends_with("BodegaInalcanzable"), "{error:?}");
    assert_eq!(taller.almacen.validar(None).unwrap().reservas, 0);
}

#[tokio::test]
async fn the_stock_is_checked_whole_or_by_product() {
    let taller = Taller::nuevo(0.0);
    resultado(&taller.llamar(PROCESAR, &entrega(2)).await);
    let todo = resultado(
        &taller
            .llamar("logistica.validar_inventario", &json!({}))
            .await,
    );
    let cuentas = [&todo["lineas"], &todo["reservas"], &todo["hallazgos"]];
    assert_eq!(cuentas, [&json!(120), &json!(1), &json!([])]);
    let uno = json!({"sku": "PROD001"});
    let uno = resultado(&taller.llamar("logistica.validar_inventario", &uno).await);
    assert_eq!(
        (&uno["lineas"], &uno["unidades_reservadas"]),
        (&json!(6), &json!(2))
    );
    let nada = json!({"sku": "NADA"});
    fallo_definitivo(
        &taller.llamar("logistica.validar_inventario", &nada).await,
        "AlmacenError",
    );
}
