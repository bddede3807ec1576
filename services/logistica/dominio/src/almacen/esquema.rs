//! The tables, their version, the way from an earlier one, and the first content.

use rusqlite::{Transaction, params};

use crate::catalogo;

const EXISTENCIAS: &str = "
CREATE TABLE existencias (
    sku         TEXT    NOT NULL,
    bodega      INTEGER NOT NULL,                         -- GeoNames id
    producto    TEXT    NOT NULL,
    ciudad      TEXT    NOT NULL,
    lat         REAL    NOT NULL,
    lon         REAL    NOT NULL,
    inicial     INTEGER NOT NULL CHECK (inicial >= 0),
    existencias INTEGER NOT NULL CHECK (existencias >= 0), -- what is left of inicial
    minimo      INTEGER NOT NULL,
    PRIMARY KEY (sku, bodega)
) STRICT, WITHOUT ROWID;
";

// The day has a default for programs of version 1 that have the file open while it is brought to
// this one: they name no day, and book for the same one.
const RESERVAS: &str = "
CREATE TABLE reservas (
    entrega_id     TEXT    NOT NULL PRIMARY KEY,
    sku            TEXT    NOT NULL,
    bodega         INTEGER NOT NULL,
    cantidad       INTEGER NOT NULL CHECK (cantidad > 0),
    contenido      TEXT    NOT NULL,                      -- the whole delivery, to tell repeats
    distancia_km   REAL    NOT NULL,
    fecha_estimada TEXT    NOT NULL,
    cumple_promesa INTEGER NOT NULL,
    fecha_reserva  TEXT    NOT NULL DEFAULT (date('now')), -- the day it was booked, in UTC
    FOREIGN KEY (sku, bodega) REFERENCES existencias (sku, bodega)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservas_por_linea ON reservas (sku, bodega);
CREATE INDEX reservas_por_dia ON reservas (fecha_reserva);
";

// Version 1 kept no day, but dated each arrival by it: one day of handling and one per started 400
// km later. CAST truncates, so what it cuts off is the day that has started.
const DESDE_1: &str = "
INSERT INTO reservas (entrega_id, sku, bodega, cantidad, contenido,
                      distancia_km, fecha_estimada, cumple_promesa, fecha_reserva)
SELECT entrega_id, sku, bodega, cantidad, contenido, distancia_km, fecha_estimada, cumple_promesa,
       date(fecha_estimada, format('-%d days', 1 + CAST(distancia_km / 400.0 AS INTEGER)
            + (distancia_km / 400.0 > CAST(distancia_km / 400.0 AS INTEGER))))
FROM reservas_1;
DROP TABLE reservas_1;
";

/// Creates and fills the tables, or brings those of an earlier version to this one.
pub(super) fn preparar(tx: &Transaction<'_>, version: i64) -> Result<(), rusqlite::Error> {
    match version {
        1 => desde_1(tx),
        _ => crear(tx),
    }
}

fn desde_1(tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    tx.execute_batch("DROP INDEX reservas_por_linea; ALTER TABLE reservas RENAME TO reservas_1;")?;
    tx.execute_batch(RESERVAS)?;
    tx.execute_batch(DESDE_1)
}

fn crear(tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    tx.execute_batch(EXISTENCIAS)?;
    tx.execute_batch(RESERVAS)?;
    let mut insertar = tx.prepare(
        "INSERT INTO existencias
             (sku, bodega, producto, ciudad, lat, lon, inicial, existencias, minimo)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
    )?;
    for linea in catalogo::lineas() {
        let bodega = &linea.bodega;
        insertar.execute(params![
            linea.sku,
            bodega.geonameid(),
            linea.producto,
            bodega.ciudad(),
            bodega.lat(),
            bodega.lon(),
            linea.existencias,
            linea.minimo,
        ])?;
    }
    Ok(())
}
