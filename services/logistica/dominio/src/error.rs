//! What can go wrong, said so that the reader knows what to change.

use std::path::PathBuf;

use rusqlite::ErrorCode;

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
    /// Other processes held the file's write lock for longer than the wait.
    #[error("the stock file {} is busy: try again shortly", ruta.display())]
    Ocupado {
        /// The stock file.
        ruta: PathBuf,
    },
    /// The file was removed or moved away while it was open.
    #[error("the stock file {} is gone: put it back, or start the service or a worker again, which makes a new one", ruta.display())]
    Desaparecido {
        /// The stock file.
        ruta: PathBuf,
    },
    /// The disk refused a read or write, for instance because it is full.
    #[error("the disk failed under the stock file {}: {fuente}; free space or mend it, then try again", ruta.display())]
    Disco {
        /// The stock file.
        ruta: PathBuf,
        /// What the database driver said.
        #[source]
        fuente: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The parent folder of the stock file could not be created.
    #[error("cannot create the folder {}: {fuente}; create it or set LOGISTICA_DB to another path", ruta.display())]
    Carpeta {
        /// The folder.
        ruta: PathBuf,
        /// What the system said.
        #[source]
        fuente: std::io::Error,
    },
    /// The file is not a stock file: corrupt, or another program's.
    #[error("{} is not a usable stock file ({motivo}): restore it from a backup or set LOGISTICA_DB to another path", ruta.display())]
    Inservible {
        /// The file.
        ruta: PathBuf,
        /// Why it cannot be used.
        motivo: String,
    },
    /// A newer program wrote the file.
    #[error("the stock file {} has schema version {encontrada}, this program knows up to {conocida}: upgrade the program", ruta.display())]
    EsquemaNuevo {
        /// The stock file.
        ruta: PathBuf,
        /// The version the file carries.
        encontrada: i64,
        /// The newest version this program knows.
        conocida: i64,
    },
    /// Any other failure of the database.
    #[error("the stock file {} failed: {fuente}", ruta.display())]
    Base {
        /// The stock file.
        ruta: PathBuf,
        /// What the database driver said.
        #[source]
        fuente: Box<dyn std::error::Error + Send + Sync>,
    },
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
        matches!(
            self,
            Self::Ocupado { .. } | Self::Desaparecido { .. } | Self::Disco { .. }
        )
    }

    /// Sorts a driver error by what the caller can do about it.
    pub(crate) fn de_sqlite(ruta: PathBuf, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Ocupado { ruta },
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::Disco {
                ruta,
                fuente: Box::new(error),
            },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Inservible {
                ruta,
                motivo: error.to_string(),
            },
            _ => Self::Base {
                ruta,
                fuente: Box::new(error),
            },
        }
    }
}
