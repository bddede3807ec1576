//! The report adds up day by day, and files of the schema before it get their days.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use logistica_dominio::{Almacen, Entrega, Periodo, Reporte};
use rusqlite::Connection;
use serde_json::json;

use crate::datos::{ENTREGAS, HOY, KENNEDY, entrega, nuevo, valida};

/// What version 1 of the schema had where this one differs.
const RESERVAS_1: &str = "
    CREATE TABLE reservas (
        entrega_id TEXT NOT NULL PRIMARY KEY, sku TEXT NOT NULL, bodega INTEGER NOT NULL,
        cantidad INTEGER NOT NULL CHECK (cantidad > 0), contenido TEXT NOT NULL,
        distancia_km REAL NOT NULL, fecha_estimada TEXT NOT NULL, cumple_promesa INTEGER NOT NULL,
        FOREIGN KEY (sku, bodega) REFERENCES existencias (sku, bodega)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX reservas_por_linea ON reservas (sku, bodega);";
const COLUMNAS_1: &str =
    "entrega_id, sku, bodega, cantidad, contenido, distancia_km, fecha_estimada, cumple_promesa";

fn reporte(almacen: &Almacen, desde: Option<&str>, hasta: Option<&str>) -> Reporte {
    let periodo = Periodo::nuevo(desde, hasta, date(2026, 11, 22)).unwrap();
    let mut reporte = almacen.empezar_reporte(&periodo).unwrap();
    while let Some(dia) = reporte.dia_siguiente() {
        almacen.sumar_dia(&mut reporte, dia).unwrap();
    }
    reporte
}

/// Books 400 deliveries, 20 a day, and answers them with their days.
fn reservar_muchas(almacen: &Almacen) -> Vec<(Entrega, Date)> {
    let entregas = ENTREGAS.lines().take(400).enumerate().map(|(n, linea)| {
        let entrega: Entrega = serde_json::from_str(linea).unwrap();
        let dia = HOY.saturating_add((n as i64 / 20).days());
        almacen.reservar(&entrega, dia).unwrap();
        (entrega, dia)
    });
    entregas.collect()
}

#[test]
fn all_deliveries_are_in_the_report_of_their_days_and_no_others() {
    let (_carpeta, almacen) = nuevo();
    let entregas = reservar_muchas(&almacen);
    for (desde, hasta) in [
        (HOY, date(2026, 11, 20)),
        (date(2026, 11, 5), date(2026, 11, 9)),
        (date(2026, 11, 20), date(2026, 11, 20)),
        (date(2026, 11, 21), date(2026, 11, 22)),
    ] {
        let (d, h) = (desde.to_string(), hasta.to_string());
        let dicho = reporte(&almacen, Some(&d), Some(&h));
        let suyas: Vec<_> = entregas
            .iter()
            .filter(|(_, dia)| (desde..=hasta).contains(dia))
            .map(|(entrega, _)| entrega)
            .collect();
        let unidades: i64 = suyas.iter().map(|e| i64::from(e.cantidad())).sum();
        assert_eq!(
            (dicho.desde, dicho.hasta, dicho.entregas, dicho.unidades),
            (desde, hasta, suyas.len() as i64, unidades)
        );
        let mut km = 0.0;
        for bodega in &dicho.bodegas {
            let id = bodega.bodega.geonameid();
            let de_ella: Vec<_> = suyas
                .iter()
                .filter(|e| e.origen().geonameid() == id)
                .collect();
            let sus_km: f64 = de_ella
                .iter()
                .map(|e| (e.origen().distancia_km(e.destino()) * 100.0).round() / 100.0)
                .sum();
            assert_eq!(bodega.entregas, de_ella.len() as i64);
            assert!(
                (bodega.kilometros.km() - sus_km).abs() < 0.005,
                "{bodega:?}"
            );
            km += sus_km;
        }
        assert!((dicho.kilometros.km() - km).abs() < 0.005, "{km}");
        let cuentas: i64 = dicho.bodegas.iter().map(|b| b.unidades).sum();
        assert_eq!((dicho.bodegas.len(), cuentas), (6, unidades));
    }
}

#[test]
fn without_days_it_goes_from_the_first_booking_to_today() {
    let (_carpeta, almacen) = nuevo();
    let vacio = reporte(&almacen, None, None);
    assert_eq!((vacio.desde, vacio.dias), (date(2026, 11, 22), 1));
    almacen.reservar(&entrega("E", 3), HOY).unwrap();
    let todo = reporte(&almacen, None, None);
    assert_eq!((todo.desde, todo.dias, todo.unidades), (HOY, 22, 3));
}

#[test]
fn a_repeat_on_a_later_day_stays_on_the_day_of_its_booking() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("E", 3), HOY).unwrap();
    almacen
        .reservar(&entrega("E", 3), date(2026, 11, 9))
        .unwrap();
    assert_eq!(reporte(&almacen, Some("2026-11-02"), None).entregas, 0);
    assert_eq!(
        reporte(&almacen, Some("2026-11-01"), Some("2026-11-01")).entregas,
        1
    );
}

#[test]
fn the_report_is_exactly_these_fields() {
    let (_carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("E", 3), HOY).unwrap();
    let valor =
        serde_json::to_value(reporte(&almacen, Some("2026-11-01"), Some("2026-11-02"))).unwrap();
    let kennedy = valor["bodegas"].as_array().unwrap().last().unwrap();
    let km = kennedy["kilometros"].as_f64().unwrap();
    assert_eq!(
        *kennedy,
        json!({"bodega": valida()["origen"], "entregas": 1, "unidades": 3, "kilometros": km})
    );
    assert!((280.0..300.0).contains(&km), "{km}");
    let mut sin_bodegas = valor;
    sin_bodegas.as_object_mut().unwrap().remove("bodegas");
    assert_eq!(
        sin_bodegas,
        json!({"desde": "2026-11-01", "hasta": "2026-11-02", "dias": 2,
               "entregas": 1, "unidades": 3, "kilometros": km})
    );
}

#[test]
fn a_file_of_version_1_gets_the_days_of_its_bookings() {
    let (_carpeta, almacen) = nuevo();
    let entregas = reservar_muchas(&almacen);
    let conexion = Connection::open(almacen.ruta()).unwrap();
    conexion
        .execute_batch(&format!(
            "DROP INDEX reservas_por_linea; DROP INDEX reservas_por_dia;
             ALTER TABLE reservas RENAME TO reservas_2; {RESERVAS_1}
             INSERT INTO reservas SELECT {COLUMNAS_1} FROM reservas_2;
             DROP TABLE reservas_2; PRAGMA user_version = 1;"
        ))
        .unwrap();
    let otra = Almacen::abrir(almacen.ruta()).unwrap();
    let dia = |id: &str| -> String {
        let pregunta = "SELECT fecha_reserva FROM reservas WHERE entrega_id = ?1";
        conexion
            .query_row(pregunta, [id], |fila| fila.get(0))
            .unwrap()
    };
    for (entrega, esperado) in &entregas {
        assert_eq!(dia(entrega.entrega_id()), esperado.to_string());
    }
    let (desde, hasta) = (Some("2026-11-01"), Some("2026-11-20"));
    assert_eq!(reporte(&otra, desde, hasta).entregas, 400);
    let repetida = otra.reservar(&entregas[0].0, date(2027, 1, 1)).unwrap();
    assert_eq!(repetida.entrega_id, "ENT-000001");
    // A program of version 1 that had the file open goes on, and its bookings have a day too.
    conexion
        .execute(
            &format!(
                "INSERT INTO reservas ({COLUMNAS_1})
                 VALUES ('VIEJA', 'PROD001', {}, 1, '{{}}', 1.0, '2026-11-03', 1)",
                KENNEDY.0
            ),
            [],
        )
        .unwrap();
    assert_eq!(dia("VIEJA").len(), 10);
}

#[test]
fn it_ends_on_the_last_day_of_the_calendar_too() {
    let (_carpeta, almacen) = nuevo();
    let ultimo = Some("9999-12-31");
    let periodo = Periodo::nuevo(ultimo, ultimo, HOY).unwrap();
    let mut reporte = almacen.empezar_reporte(&periodo).unwrap();
    let dia = reporte.dia_siguiente().unwrap();
    almacen.sumar_dia(&mut reporte, dia).unwrap();
    assert_eq!((reporte.dias, reporte.dia_siguiente()), (1, None));
}
