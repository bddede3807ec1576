//! The stock in a `SQLite` file.

mod esquema;
mod informe;
mod inventario;
mod reporte;
mod reservar;

pub use informe::{Hallazgo, Informe};
pub use inventario::{BodegaInventario, Inventario};
pub use reporte::{BodegaReporte, Kilometros, Reporte};

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use archivo::{Archivo, Clase, RutaDesconocida};
use rusqlite::Transaction;

use crate::error::AlmacenError;

/// The stock file: its tables are those of schema 2.
static CLASE: Clase = Clase {
    que: "stock file",
    variable: "LOGISTICA_DB",
    nombre: "logistica.db",
    // The first stock files were made without one.
    marca: 0,
    version: 2,
};

/// The stock file's path: `LOGISTICA_DB`, else `taskq/logistica.db` in the user's data folder.
///
/// `valor` reads a variable, of `LOGISTICA_DB`, `XDG_DATA_HOME` and `HOME`; the program's main gives
/// [`std::env::var_os`]. An empty value counts as unset.
///
/// # Errors
/// [`RutaDesconocida`] if all three are unset.
pub fn ruta(valor: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, RutaDesconocida> {
    CLASE.ruta(valor)
}

/// The stock, in a file that several processes share.
///
/// Clones share one connection; its calls block, and wait up to 5 s for other writers.
#[derive(Debug, Clone)]
pub struct Almacen {
    archivo: Archivo,
}

impl Almacen {
    /// Opens the stock file, creating it, its folder and its content if it is new.
    ///
    /// Any number of processes may open the same new file at once: one of them fills it.
    ///
    /// # Errors
    /// [`AlmacenError::Archivo`]: its folder can not be made, it is no stock file, or one of a newer program, and the
    /// database's failures.
    pub fn abrir(ruta: impl Into<PathBuf>) -> Result<Self, AlmacenError> {
        let archivo = Archivo::abrir(&CLASE, ruta, esquema::preparar)?;
        Ok(Self { archivo })
    }

    /// The file this stock lives in.
    #[must_use]
    pub fn ruta(&self) -> &Path {
        self.archivo.ruta()
    }

    /// Runs `trabajo` in one transaction that writes.
    fn escribir<T>(
        &self,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo>,
    ) -> Result<T, AlmacenError> {
        self.archivo.escribir(trabajo)
    }

    /// Runs `trabajo` on one consistent snapshot, without holding up writers.
    fn leer<T>(
        &self,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo>,
    ) -> Result<T, AlmacenError> {
        self.archivo.leer(trabajo)
    }
}

/// Why a transaction was rolled back: the database failed, or the domain refused.
type Fallo = archivo::Fallo<AlmacenError>;

impl From<AlmacenError> for Fallo {
    fn from(error: AlmacenError) -> Self {
        Self::Dominio(error)
    }
}
