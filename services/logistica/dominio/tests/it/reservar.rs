//! Booking: once per delivery, never more than there is.

use std::thread;

use jiff::ToSpan;
use logistica_dominio::{Almacen, AlmacenError, Causa, Entrega};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::datos::{ENTREGAS, HOY, KENNEDY, entrega, nuevo, valida};

#[test]
fn all_deliveries_fit_and_repeats_change_nothing() {
    let (_carpeta, almacen) = nuevo();
    let inicial = almacen.validar(None).unwrap().existencias;
    let entregas: Vec<Entrega> = ENTREGAS
        .lines()
        .map(|linea| serde_json::from_str(linea).unwrap())
        .collect();
    let manana = HOY.saturating_add(1.day());
    for entrega in &entregas {
        let primera = almacen.reservar(entrega, HOY).unwrap();
        assert_eq!(almacen.reservar(entrega, manana).unwrap(), primera);
    }
    let informe = almacen.validar(None).unwrap();
    let unidades: i64 = entregas.iter().map(|e| i64::from(e.cantidad())).sum();
    assert_eq!(informe.hallazgos, []);
    assert_eq!(
        (informe.reservas, informe.unidades_reservadas),
        (5000, unidades)
    );
    assert_eq!(informe.existencias, inicial - unidades);
}

#[test]
fn the_result_is_exactly_the_four_fields() {
    let (_carpeta, almacen) = nuevo();
    let resultado = almacen.reservar(&entrega("ENT-1", 2), HOY).unwrap();
    let km = resultado.distancia_km;
    assert_eq!(
        serde_json::to_value(&resultado).unwrap(),
        json!({"entrega_id": "ENT-1", "distancia_km": km,
               "fecha_estimada": "2026-11-03", "cumple_promesa": true})
    );
    assert!((280.0..300.0).contains(&km), "{km}");
}

#[test]
fn a_late_delivery_is_booked_and_says_so() {
    let (_carpeta, almacen) = nuevo();
    let tarde = HOY.saturating_add(1.day());
    assert!(
        !almacen
            .reservar(&entrega("E", 1), tarde)
            .unwrap()
            .cumple_promesa
    );
}

#[test]
fn the_same_id_with_other_content_is_a_conflict() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("E", 2), HOY).unwrap();
    let mut otra = valida();
    otra["entrega_id"] = json!("E");
    otra["peso_kg"] = json!(9);
    let otra = Entrega::desde_valor(&otra).unwrap();
    let error = almacen.reservar(&otra, HOY).unwrap_err();
    assert!(matches!(&error, AlmacenError::Conflicto { entrega_id } if entrega_id == "E"));
    assert!(!error.is_transient());
    assert_eq!(almacen.validar(None).unwrap().reservas, 1);
}

#[test]
fn overselling_is_refused_with_the_numbers() {
    let (_carpeta, almacen) = nuevo();
    let (bodega, hay) = KENNEDY;
    almacen.reservar(&entrega("A", hay - 1), HOY).unwrap();
    let error = almacen.reservar(&entrega("B", 2), HOY).unwrap_err();
    assert!(!error.is_transient());
    let texto = error.to_string();
    for parte in [
        "PROD001",
        "Kennedy",
        &bodega.to_string(),
        "asked 2",
        "left 1",
    ] {
        assert!(texto.contains(parte), "{texto}");
    }
    almacen.reservar(&entrega("B", 1), HOY).unwrap();
    assert_eq!(almacen.validar(None).unwrap().hallazgos, []);
}

#[test]
fn handles_that_race_for_the_last_units_sell_each_once() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("A", KENNEDY.1 - 5), HOY).unwrap();
    let vendidas: usize = thread::scope(|s| {
        let hilos: Vec<_> = (0..4)
            .map(|h| {
                let propia = Almacen::abrir(almacen.ruta()).unwrap();
                s.spawn(move || {
                    (0..5)
                        .filter(|i| {
                            propia
                                .reservar(&entrega(&format!("{h}-{i}"), 1), HOY)
                                .is_ok()
                        })
                        .count()
                })
            })
            .collect();
        hilos.into_iter().map(|hilo| hilo.join().unwrap()).sum()
    });
    assert_eq!(vendidas, 5);
    assert_eq!(almacen.validar(None).unwrap().hallazgos, []);
}

#[test]
fn a_writer_that_never_lets_go_is_a_transient_error() {
    let (_carpeta, almacen) = nuevo();
    let otro = Connection::open(almacen.ruta()).unwrap();
    otro.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = almacen.reservar(&entrega("E", 1), HOY).unwrap_err();
    assert!(
        matches!(&error, AlmacenError::Archivo(e) if matches!(e.causa, Causa::Ocupado)),
        "{error}"
    );
    assert!(error.is_transient());
    // Readers go on meanwhile.
    almacen.validar(None).unwrap();
    otro.execute_batch("ROLLBACK").unwrap();
    almacen.reservar(&entrega("E", 1), HOY).unwrap();
}

#[test]
fn the_inventory_shows_what_is_left() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("E", 5), HOY).unwrap();
    let inventario = almacen.inventario("PROD001").unwrap().unwrap();
    let json: Value = serde_json::to_value(&inventario).unwrap();
    let kennedy = json["bodegas"]
        .as_array()
        .unwrap()
        .iter()
        .find(|b| b["bodega"]["ciudad"] == "Kennedy")
        .unwrap();
    assert_eq!(
        *kennedy,
        json!({"bodega": valida()["origen"], "existencias": KENNEDY.1 - 5, "minimo": 100})
    );
    assert_eq!(inventario.bodegas.len(), 6);
    assert_eq!(almacen.inventario("PROD999").unwrap(), None);
}
