//! What the tasks of one worker share.

use std::ffi::OsString;
use std::time::Duration;

use monitor_dominio::{Bitacora, ErrorArchivo, RutaDesconocida, ServicioInvalido, Servicios, ruta};
use taskq_core::retry::{Exponential, Jitter};
use taskq_core::{Error, TaskError};

/// How what may go better a moment later is tried again.
pub(crate) const REINTENTOS: Exponential = Exponential {
    base: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(10),
    jitter: Jitter::Full,
};

/// What the tasks share; a worker holds one as its state.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) bitacora: Bitacora,
    pub(crate) servicios: Servicios,
}

/// Why the tasks cannot be given what they share.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AjusteInvalido {
    /// `SERVICIOS` has an entry that names no service.
    #[error("SERVICIOS: {0}")]
    Servicio(#[from] ServicioInvalido),
    /// `SERVICIOS` is no text.
    #[error("SERVICIOS is no text in UTF-8: write name=http://host:port, with commas between")]
    NoEsTexto,
    /// No setting says where the monitor file is.
    #[error(transparent)]
    Ruta(#[from] RutaDesconocida),
    /// The monitor file cannot be opened.
    #[error(transparent)]
    Archivo(#[from] ErrorArchivo),
}

impl Monitor {
    /// The file and the services given.
    #[must_use]
    pub fn nuevo(bitacora: Bitacora, servicios: Servicios) -> Self {
        Self {
            bitacora,
            servicios,
        }
    }

    /// Opens the file and reads the services that the settings name; blocks.
    ///
    /// `valor` reads one setting by name: `SERVICIOS`, and `MONITOR_DB`, `XDG_DATA_HOME` and `HOME` as [`ruta`] says.
    ///
    /// # Errors
    /// A setting that cannot be read, or a file that cannot be opened.
    pub fn abrir(valor: impl Fn(&str) -> Option<OsString>) -> Result<Self, AjusteInvalido> {
        // First what costs nothing, so that a wrong setting leaves no file behind.
        let servicios = match valor("SERVICIOS") {
            Some(texto) => texto.to_str().ok_or(AjusteInvalido::NoEsTexto)?.parse()?,
            None => Servicios::default(),
        };
        Ok(Self::nuevo(Bitacora::abrir(ruta(valor)?)?, servicios))
    }
}

/// A failure of the file, as the task's: tried again where that may help.
pub(crate) fn de_archivo(error: ErrorArchivo) -> TaskError {
    if error.is_transient() {
        TaskError::retry(error)
    } else {
        TaskError::permanent(error)
    }
}

/// A failure of the broker, as the task's: tried again where that may help.
pub(crate) fn de_corredor(error: Error) -> TaskError {
    if error.is_transient() {
        TaskError::retry(error)
    } else {
        TaskError::permanent(error)
    }
}
