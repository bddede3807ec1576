//! The tables, their version, and the first content.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use crate::catalogo;
use crate::error::AlmacenError;

use super::Fallo;

/// The schema this program writes, kept in the file as `user_version`.
const VERSION: i64 = 1;

const TABLAS: &str = "
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

CREATE TABLE reservas (
    entrega_id     TEXT    NOT NULL PRIMARY KEY,
    sku            TEXT    NOT NULL,
    bodega         INTEGER NOT NULL,
    cantidad       INTEGER NOT NULL CHECK (cantidad > 0),
    contenido      TEXT    NOT NULL,                      -- the whole delivery, to tell repeats
    distancia_km   REAL    NOT NULL,
    fecha_estimada TEXT    NOT NULL,
    cumple_promesa INTEGER NOT NULL,
    FOREIGN KEY (sku, bodega) REFERENCES existencias (sku, bodega)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservas_por_linea ON reservas (sku, bodega);
";

/// Refuses a file this program must not write: a newer schema, or another program's tables.
pub(super) fn comprobar(conexion: &Connection, ruta: &Path) -> Result<(), Fallo> {
    let version = version(conexion)?;
    if version > VERSION {
        let error = AlmacenError::EsquemaNuevo {
            ruta: ruta.to_owned(),
            encontrada: version,
            conocida: VERSION,
        };
        return Err(error.into());
    }
    if version == VERSION {
        return Ok(());
    }
    // One statement reads version and tables together: another process may create them meanwhile.
    let ajeno: bool = conexion.query_row(
        "SELECT user_version <> ?1 AND EXISTS (SELECT 1 FROM sqlite_schema)
         FROM pragma_user_version",
        [VERSION],
        |fila| fila.get(0),
    )?;
    if ajeno {
        let error = AlmacenError::Inservible {
            ruta: ruta.to_owned(),
            motivo: "it is another program's database".to_owned(),
        };
        return Err(error.into());
    }
    Ok(())
}

/// Creates and fills the tables unless another process has; `tx` holds the write lock.
pub(super) fn crear_si_falta(tx: &Transaction<'_>, ruta: &Path) -> Result<(), Fallo> {
    comprobar(tx, ruta)?;
    if version(tx)? == VERSION {
        return Ok(());
    }
    tx.execute_batch(TABLAS)?;
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
    tx.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

fn version(conexion: &Connection) -> Result<i64, rusqlite::Error> {
    conexion.query_row("PRAGMA user_version", [], |fila| fila.get(0))
}
