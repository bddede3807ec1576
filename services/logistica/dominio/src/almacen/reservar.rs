//! Booking stock for a delivery, once.

use jiff::civil::Date;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Almacen, Fallo};
use crate::entrega::Entrega;
use crate::error::AlmacenError;
use crate::fecha;
use crate::resultado::Resultado;

impl Almacen {
    /// Takes the delivery's units from its warehouse, all or nothing, and answers its outcome.
    ///
    /// A repeat of a booked delivery takes nothing and answers what the first booking did.
    /// `hoy` is today's date in UTC; it counts only for the first booking.
    ///
    /// # Errors
    /// [`AlmacenError::Conflicto`] if the id was booked with other content,
    /// [`AlmacenError::SinExistencias`] if too little is left, and the database's failures;
    /// [`AlmacenError::is_transient`] tells those worth a retry.
    pub fn reservar(&self, entrega: &Entrega, hoy: Date) -> Result<Resultado, AlmacenError> {
        let contenido = serde_json::to_string(entrega).map_err(AlmacenError::Contenido)?;
        self.escribir(|tx| {
            if let Some((guardado, resultado)) = buscar(tx, entrega.entrega_id())? {
                if guardado == contenido {
                    return Ok(resultado);
                }
                let entrega_id = entrega.entrega_id().to_owned();
                return Err(AlmacenError::Conflicto { entrega_id }.into());
            }
            descontar(tx, entrega)?;
            let resultado = Resultado::calcular(entrega, hoy);
            anotar(tx, entrega, &contenido, &resultado, hoy)?;
            Ok(resultado)
        })
    }
}

/// The content and outcome of an earlier booking.
fn buscar(tx: &Transaction<'_>, id: &str) -> Result<Option<(String, Resultado)>, rusqlite::Error> {
    tx.prepare_cached(
        "SELECT entrega_id, distancia_km, fecha_estimada, cumple_promesa, contenido
         FROM reservas WHERE entrega_id = ?1",
    )?
    .query_row([id], |fila| Ok((fila.get(4)?, leer_resultado(fila)?)))
    .optional()
}

fn leer_resultado(fila: &Row<'_>) -> Result<Resultado, rusqlite::Error> {
    let texto: String = fila.get(2)?;
    let fecha_estimada = fecha::leer(&texto).ok_or_else(|| {
        let motivo = format!("fecha_estimada {texto:?} is no date");
        rusqlite::Error::FromSqlConversionFailure(2, Type::Text, motivo.into())
    })?;
    Ok(Resultado {
        entrega_id: fila.get(0)?,
        distancia_km: fila.get(1)?,
        fecha_estimada,
        cumple_promesa: fila.get(3)?,
    })
}

fn descontar(tx: &Transaction<'_>, entrega: &Entrega) -> Result<(), Fallo> {
    let (sku, bodega) = (entrega.sku(), entrega.origen().geonameid());
    let pedidas = entrega.cantidad();
    let tomadas = tx
        .prepare_cached(
            "UPDATE existencias SET existencias = existencias - ?3
             WHERE sku = ?1 AND bodega = ?2 AND existencias >= ?3",
        )?
        .execute(params![sku, bodega, pedidas])?;
    if tomadas == 1 {
        return Ok(());
    }
    let linea = tx
        .prepare_cached(
            "SELECT existencias, ciudad FROM existencias WHERE sku = ?1 AND bodega = ?2",
        )?
        .query_row(params![sku, bodega], |fila| {
            Ok((fila.get(0)?, fila.get(1)?))
        })
        .optional()?;
    let sku = sku.to_owned();
    let error = match linea {
        Some((quedan, ciudad)) => AlmacenError::SinExistencias {
            sku,
            bodega,
            ciudad,
            pedidas,
            quedan,
        },
        None => AlmacenError::BodegaDesconocida { sku, bodega },
    };
    Err(error.into())
}

fn anotar(
    tx: &Transaction<'_>,
    entrega: &Entrega,
    contenido: &str,
    resultado: &Resultado,
    hoy: Date,
) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "INSERT INTO reservas (entrega_id, sku, bodega, cantidad, contenido,
                               distancia_km, fecha_estimada, cumple_promesa, fecha_reserva)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        entrega.entrega_id(),
        entrega.sku(),
        entrega.origen().geonameid(),
        entrega.cantidad(),
        contenido,
        resultado.distancia_km,
        resultado.fecha_estimada.to_string(),
        resultado.cumple_promesa,
        hoy.to_string(),
    ])?;
    Ok(())
}
