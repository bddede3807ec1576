//! What can go wrong, said so that the reader knows what to change.

use archivo::ErrorArchivo;

/// A delivery that breaks a rule; sending it again unchanged cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid delivery: field `{campo}`: {motivo}")]
pub struct EntregaInvalida {
    /// The offending field as a path, such as `destino.lat`; `entrega` is the delivery as a whole.
    pub campo: String,
    /// What is wrong and what to send instead.
    pub motivo: String,
}

impl EntregaInvalida {
    pub(crate) fn nueva(campo: impl Into<String>, motivo: impl Into<String>) -> Self {
        Self {
            campo: campo.into(),
            motivo: motivo.into(),
        }
    }
}

/// Days that no report can cover; asking again unchanged cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid report: field `{campo}`: {motivo}")]
pub struct PeriodoInvalido {
    /// The offending field: `desde` or `hasta`.
    pub campo: &'static str,
    /// What is wrong and what to send instead.
    pub motivo: String,
}

/// A refused or failed operation on the stock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlmacenError {
    /// The stock file can not be opened, read or written.
    #[error(transparent)]
    Archivo(#[from] ErrorArchivo),
    /// The delivery does not encode.
    #[error("the delivery cannot be kept: {0}")]
    Contenido(#[source] serde_json::Error),
    /// The warehouse holds less than the delivery asks for.
    #[error(
        "not enough stock of {sku} in {ciudad} (warehouse {bodega}): asked {pedidas}, left {quedan}; order less or from another warehouse"
    )]
    SinExistencias {
        /// The product.
        sku: String,
        /// The warehouse's `GeoNames` id.
        bodega: u32,
        /// The warehouse's city.
        ciudad: String,
        /// Units the delivery asks for.
        pedidas: u32,
        /// Units left in the warehouse.
        quedan: i64,
    },
    /// The id was booked before with other content.
    #[error(
        "delivery {entrega_id} was booked before with other content: send it under a new entrega_id"
    )]
    Conflicto {
        /// The id both deliveries carry.
        entrega_id: String,
    },
    /// The stock has no such product.
    #[error("unknown sku {sku:?}: use one of the inventory, such as PROD001")]
    SkuDesconocido {
        /// The product asked for, at most 64 characters of it.
        sku: String,
    },
    /// The stock has the product, but not in this warehouse.
    #[error("{sku} has no stock line in warehouse {bodega}: order from a warehouse that stocks it")]
    BodegaDesconocida {
        /// The product.
        sku: String,
        /// The warehouse's `GeoNames` id.
        bodega: u32,
    },
}

impl AlmacenError {
    /// Whether the same call may succeed later with nothing changed in the request.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Archivo(error) if error.is_transient())
    }
}
