//! The check finds stock that does not add up.

use logistica_dominio::AlmacenError;
use rusqlite::Connection;

use crate::datos::{HOY, KENNEDY, entrega, nuevo};

#[test]
fn one_product_is_checked_alone() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("E", 5), HOY).unwrap();
    let uno = almacen.validar(Some("PROD001")).unwrap();
    assert_eq!(
        (uno.lineas, uno.reservas, uno.unidades_reservadas),
        (6, 1, 5)
    );
    let otro = almacen.validar(Some("PROD002")).unwrap();
    assert_eq!((otro.lineas, otro.reservas), (6, 0));
}

#[test]
fn an_unknown_product_is_an_error() {
    let (_carpeta, almacen) = nuevo();
    let error = almacen.validar(Some("PROD999")).unwrap_err();
    assert!(matches!(&error, AlmacenError::SkuDesconocido { sku } if sku == "PROD999"));
}

#[test]
fn stock_changed_behind_its_back_is_found() {
    let (_carpeta, almacen) = nuevo();
    let otra = Connection::open(almacen.ruta()).unwrap();
    otra.execute_batch(
        "PRAGMA ignore_check_constraints = ON;
         UPDATE existencias SET existencias = -1 WHERE sku = 'PROD001' AND bodega = 7033318",
    )
    .unwrap();
    let informe = almacen.validar(None).unwrap();
    let motivos: Vec<_> = informe.hallazgos.iter().map(|h| h.motivo.clone()).collect();
    let tomadas = format!("{} units taken, 0 booked", KENNEDY.1 + 1);
    assert_eq!(motivos, ["stock is -1".to_owned(), tomadas]);
    assert!(informe.hallazgos.iter().all(|h| h.bodega == KENNEDY.0));
}
