//! Checking that stock and bookings agree.

use rusqlite::Transaction;
use serde::Serialize;

use super::Almacen;
use crate::error::AlmacenError;

/// The outcome of a check of the stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Informe {
    /// The product checked; `None` for all.
    pub sku: Option<String>,
    /// Stock lines (product and warehouse) checked.
    pub lineas: u64,
    /// Units left in them.
    pub existencias: i64,
    /// Bookings against them.
    pub reservas: i64,
    /// Units booked.
    pub unidades_reservadas: i64,
    /// What does not add up; empty if all is well.
    pub hallazgos: Vec<Hallazgo>,
}

/// A stock line that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hallazgo {
    /// The product.
    pub sku: String,
    /// The warehouse's `GeoNames` id.
    pub bodega: u32,
    /// What is wrong, with the numbers.
    pub motivo: String,
}

/// One stock line with the sum of its bookings.
struct Linea {
    sku: String,
    bodega: u32,
    inicial: i64,
    existencias: i64,
    reservas: i64,
    unidades: i64,
}

impl Almacen {
    /// Checks one product, or all: no stock is negative, and what was taken equals what was booked.
    ///
    /// # Errors
    /// [`AlmacenError::SkuDesconocido`], and the database's failures. Numbers that don't add up
    /// are no error but findings of the report.
    pub fn validar(&self, sku: Option<&str>) -> Result<Informe, AlmacenError> {
        let lineas = self.leer(|tx| Ok(lineas(tx, sku)?))?;
        if let (Some(sku), []) = (sku, lineas.as_slice()) {
            return Err(AlmacenError::SkuDesconocido {
                sku: sku.chars().take(64).collect(),
            });
        }
        Ok(Informe {
            sku: sku.map(str::to_owned),
            lineas: lineas.len() as u64,
            existencias: lineas.iter().map(|l| l.existencias).sum(),
            reservas: lineas.iter().map(|l| l.reservas).sum(),
            unidades_reservadas: lineas.iter().map(|l| l.unidades).sum(),
            hallazgos: lineas.iter().flat_map(Linea::hallazgos).collect(),
        })
    }
}

impl Linea {
    fn hallazgos(&self) -> Vec<Hallazgo> {
        let tomadas = self.inicial - self.existencias;
        let negativa = (self.existencias < 0).then(|| format!("stock is {}", self.existencias));
        let descuadre = (tomadas != self.unidades)
            .then(|| format!("{tomadas} units taken, {} booked", self.unidades));
        [negativa, descuadre]
            .into_iter()
            .flatten()
            .map(|motivo| Hallazgo {
                sku: self.sku.clone(),
                bodega: self.bodega,
                motivo,
            })
            .collect()
    }
}

fn lineas(tx: &Transaction<'_>, sku: Option<&str>) -> Result<Vec<Linea>, rusqlite::Error> {
    tx.prepare_cached(
        "SELECT e.sku, e.bodega, e.inicial, e.existencias,
                count(r.entrega_id), coalesce(sum(r.cantidad), 0)
         FROM existencias e LEFT JOIN reservas r USING (sku, bodega)
         WHERE ?1 IS NULL OR e.sku = ?1
         GROUP BY e.sku, e.bodega ORDER BY e.sku, e.bodega",
    )?
    .query_map([sku], |fila| {
        Ok(Linea {
            sku: fila.get(0)?,
            bodega: fila.get(1)?,
            inicial: fila.get(2)?,
            existencias: fila.get(3)?,
            reservas: fila.get(4)?,
            unidades: fila.get(5)?,
        })
    })?
    .collect()
}
