//! The stock in a `SQLite` file.

mod abrir;
mod esquema;
mod fichero;
mod informe;
mod inventario;
mod reporte;
mod reservar;

pub use informe::{Hallazgo, Informe};
pub use inventario::{BodegaInventario, Inventario};
pub use reporte::{BodegaReporte, Kilometros, Reporte};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::AlmacenError;
use fichero::Fichero;

/// The stock, in a file that several processes share.
///
/// Clones share one connection; its calls block, and wait up to 5 s for other writers. What lies at
/// the path counts: a file that takes the place of this one is used from the next call on, and while
/// none is there calls fail with [`AlmacenError::Desaparecido`].
#[derive(Clone)]
pub struct Almacen {
    interior: Arc<Interior>,
}

struct Interior {
    ruta: PathBuf,
    abierto: Mutex<Abierto>,
}

/// An open connection, and which file it is to: a path may get another one meanwhile.
struct Abierto {
    conexion: Connection,
    fichero: Fichero,
}

impl Almacen {
    /// The file this stock lives in.
    #[must_use]
    pub fn ruta(&self) -> &Path {
        &self.interior.ruta
    }

    /// Runs `trabajo` in one transaction that takes the write lock at once: a transaction that
    /// reads first and then writes could not wait for another writer, only fail.
    fn escribir<T>(
        &self,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo>,
    ) -> Result<T, AlmacenError> {
        self.transaccion(TransactionBehavior::Immediate, trabajo)
    }

    /// Runs `trabajo` on one consistent snapshot, without holding up writers.
    fn leer<T>(
        &self,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo>,
    ) -> Result<T, AlmacenError> {
        self.transaccion(TransactionBehavior::Deferred, trabajo)
    }

    fn transaccion<T>(
        &self,
        modo: TransactionBehavior,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo>,
    ) -> Result<T, AlmacenError> {
        // A panic under the lock has rolled its transaction back, so the connection is sound.
        let mut abierto = self
            .interior
            .abierto
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let hecho = (|| {
            // A booking in a file that nobody finds any more would be lost.
            if Fichero::en(&self.interior.ruta)? != abierto.fichero {
                *abierto = Abierto::reabrir(&self.interior.ruta)?;
            }
            let tx = abierto.conexion.transaction_with_behavior(modo)?;
            let valor = trabajo(&tx)?;
            tx.commit()?;
            Ok(valor)
        })();
        hecho.map_err(|fallo: Fallo| fallo.en(&self.interior.ruta))
    }
}

impl fmt::Debug for Almacen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Almacen")
            .field("ruta", &self.interior.ruta)
            .finish_non_exhaustive()
    }
}

/// Why a transaction was rolled back: the database failed, or the domain refused.
enum Fallo {
    Sqlite(rusqlite::Error),
    Dominio(AlmacenError),
}

impl Fallo {
    fn en(self, ruta: &Path) -> AlmacenError {
        match self {
            Self::Sqlite(error) => AlmacenError::de_sqlite(ruta.to_owned(), error),
            Self::Dominio(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fallo {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<AlmacenError> for Fallo {
    fn from(error: AlmacenError) -> Self {
        Self::Dominio(error)
    }
}
