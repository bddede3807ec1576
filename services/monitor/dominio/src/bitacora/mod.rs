//! The monitor's SQLite file: the activity log and the samples.

mod actividad;
mod esquema;
mod muestras;

pub use actividad::{ACTIVIDADES_MAX, Actividad, Anotada, Nota, NotaInvalida, PAGINA_MAX};
pub use muestras::{CORRIDAS_MAX, Corrida, Muestra};

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use archivo::{Archivo, Clase, ErrorArchivo, RutaDesconocida};

static CLASE: Clase = Clase {
    que: "monitor file",
    variable: "MONITOR_DB",
    nombre: "monitor.db",
    // "moni"
    marca: 0x6d6f_6e69,
    version: 1,
};

/// The monitor file's path: `MONITOR_DB`, else `taskq/monitor.db` in the user's data folder.
///
/// `valor` reads a variable, of `MONITOR_DB`, `XDG_DATA_HOME` and `HOME`; the program's main gives
/// [`std::env::var_os`]. An empty value counts as unset.
///
/// # Errors
/// [`RutaDesconocida`] if all three are unset.
pub fn ruta(valor: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, RutaDesconocida> {
    CLASE.ruta(valor)
}

/// The monitor's file, which workers write and the service reads.
///
/// Clones share one connection; its calls block, and wait up to 5 s for other writers.
///
/// ```
/// use monitor_dominio::{Bitacora, Nota};
///
/// let carpeta = tempfile::tempdir()?;
/// let bitacora = Bitacora::abrir(carpeta.path().join("monitor.db"))?;
/// let nota = Nota::nueva("turno", None)?;
/// let anotada = bitacora.anotar("01a20606", "w1@bodega", 1_795_000_000_000, &nota)?;
/// // A repeat of the same task notes nothing.
/// assert_eq!(bitacora.anotar("01a20606", "w2@bodega", 1_795_000_000_900, &nota)?, anotada);
/// assert_eq!(bitacora.actividad(10, None)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bitacora {
    archivo: Archivo,
}

impl Bitacora {
    /// Opens the file, creating it and its folder if it is new; any number of processes may at once.
    ///
    /// # Errors
    /// Its folder can not be made, it is no monitor file or one of a newer program, and the database's failures.
    pub fn abrir(ruta: impl Into<PathBuf>) -> Result<Self, ErrorArchivo> {
        let archivo = Archivo::abrir(&CLASE, ruta, |tx, _| tx.execute_batch(esquema::TABLAS))?;
        Ok(Self { archivo })
    }

    /// Where it lies.
    #[must_use]
    pub fn ruta(&self) -> &Path {
        self.archivo.ruta()
    }
}

/// A number as a column holds it; what is beyond is the largest one.
fn columna(numero: u64) -> i64 {
    i64::try_from(numero).unwrap_or(i64::MAX)
}

/// A number as a column held it.
fn numero(columna: i64) -> u64 {
    u64::try_from(columna).unwrap_or(0)
}
