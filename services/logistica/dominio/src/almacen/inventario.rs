//! What is left of a product.

use rusqlite::OptionalExtension;
use serde::Serialize;

use super::Almacen;
use crate::error::AlmacenError;
use crate::lugar::Lugar;

/// One product and what is left of it in each warehouse.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inventario {
    /// The product's code.
    pub sku: String,
    /// The product's name.
    pub producto: String,
    /// The warehouses that stock it, by their id.
    pub bodegas: Vec<BodegaInventario>,
}

/// What one warehouse has of a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BodegaInventario {
    /// The warehouse.
    pub bodega: Lugar,
    /// Units left.
    pub existencias: i64,
    /// Units below which the warehouse should restock.
    pub minimo: i64,
}

impl Almacen {
    /// What is left of `sku`; `None` if there is no such product.
    ///
    /// # Errors
    /// Only the database's failures.
    pub fn inventario(&self, sku: &str) -> Result<Option<Inventario>, AlmacenError> {
        self.leer(|tx| {
            let producto: Option<String> = tx
                .prepare_cached("SELECT producto FROM existencias WHERE sku = ?1 LIMIT 1")?
                .query_row([sku], |fila| fila.get(0))
                .optional()?;
            let Some(producto) = producto else {
                return Ok(None);
            };
            let bodegas = tx
                .prepare_cached(
                    "SELECT bodega, ciudad, lat, lon, existencias, minimo
                     FROM existencias WHERE sku = ?1 ORDER BY bodega",
                )?
                .query_map([sku], |fila| {
                    Ok(BodegaInventario {
                        bodega: Lugar::guardado(
                            fila.get(0)?,
                            fila.get(1)?,
                            fila.get(2)?,
                            fila.get(3)?,
                        ),
                        existencias: fila.get(4)?,
                        minimo: fila.get(5)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(Some(Inventario {
                sku: sku.to_owned(),
                producto,
                bodegas,
            }))
        })
    }
}
