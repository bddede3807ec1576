//! What the tasks of one worker share.

use std::ffi::OsString;

use logistica_dominio::{Almacen, ruta};

use crate::ajustes::AjusteInvalido;
use crate::bodega::SistemaBodega;

/// What the tasks share; a worker holds one as its state.
#[derive(Debug, Clone)]
pub struct Logistica {
    pub(crate) almacen: Almacen,
    pub(crate) bodega: SistemaBodega,
}

impl Logistica {
    /// The stock and the warehouse system given.
    #[must_use]
    pub fn nueva(almacen: Almacen, bodega: SistemaBodega) -> Self {
        Self { almacen, bodega }
    }

    /// Opens the stock file and the warehouse system that the settings name; blocks.
    ///
    /// `valor` reads one setting by name: `LOGISTICA_DB`, `XDG_DATA_HOME` and `HOME` as
    /// [`ruta`] says, and those of [`SistemaBodega::desde`].
    ///
    /// # Errors
    /// A setting that cannot be read, or a stock file that cannot be opened.
    pub fn abrir(valor: impl Fn(&str) -> Option<OsString>) -> Result<Self, AjusteInvalido> {
        // First what costs nothing, so that a wrong setting leaves no file behind.
        let bodega = SistemaBodega::desde(&valor)?;
        let almacen = Almacen::abrir(ruta(valor)?)?;
        Ok(Self::nueva(almacen, bodega))
    }
}
