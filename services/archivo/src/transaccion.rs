//! Transactions.

use std::path::Path;
use std::sync::PoisonError;

use rusqlite::{Transaction, TransactionBehavior};

use crate::abrir::Archivo;
use crate::clase::Clase;
use crate::error::{Causa, ErrorArchivo};

/// Why a transaction was rolled back: the database failed, or the domain refused with an `E`.
#[derive(Debug)]
pub enum Fallo<E> {
    /// What the driver said.
    Sqlite(rusqlite::Error),
    /// What is wrong with the file.
    Archivo(Causa),
    /// What the domain said.
    Dominio(E),
}

impl Archivo {
    /// Runs `trabajo` in one transaction that takes the write lock at once: a transaction that
    /// reads first and then writes could not wait for another writer, only fail.
    ///
    /// # Errors
    /// What `trabajo` refused, and the database's failures.
    pub fn escribir<T, E: From<ErrorArchivo>>(
        &self,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo<E>>,
    ) -> Result<T, E> {
        self.transaccion(TransactionBehavior::Immediate, trabajo)
    }

    /// Runs `trabajo` on one consistent snapshot, without holding up writers.
    ///
    /// # Errors
    /// What `trabajo` refused, and the database's failures.
    pub fn leer<T, E: From<ErrorArchivo>>(
        &self,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo<E>>,
    ) -> Result<T, E> {
        self.transaccion(TransactionBehavior::Deferred, trabajo)
    }

    fn transaccion<T, E: From<ErrorArchivo>>(
        &self,
        modo: TransactionBehavior,
        trabajo: impl FnOnce(&Transaction<'_>) -> Result<T, Fallo<E>>,
    ) -> Result<T, E> {
        // A panic under the lock has rolled its transaction back, so the connection is sound.
        let interior = &self.interior;
        let mut abierto = interior
            .abierto
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // What is written to a file that nobody finds any more would be lost.
        let del_archivo = |fallo: Fallo<ErrorArchivo>| fallo.en(interior.clase, &interior.ruta);
        interior.seguir(&mut abierto).map_err(del_archivo)?;
        let hecho = (|| {
            let tx = abierto.conexion.transaction_with_behavior(modo)?;
            let valor = trabajo(&tx)?;
            tx.commit()?;
            Ok(valor)
        })();
        let valor = hecho.map_err(|fallo: Fallo<E>| fallo.en(interior.clase, &interior.ruta))?;
        if matches!(modo, TransactionBehavior::Immediate) {
            abierto.sigue().map_err(del_archivo)?;
        }
        Ok(valor)
    }
}

impl<E: From<ErrorArchivo>> Fallo<E> {
    pub(crate) fn en(self, clase: &'static Clase, ruta: &Path) -> E {
        let ruta = ruta.to_owned();
        match self {
            Self::Sqlite(error) => ErrorArchivo::de_sqlite(clase, ruta, error).into(),
            Self::Archivo(causa) => ErrorArchivo { clase, ruta, causa }.into(),
            Self::Dominio(error) => error,
        }
    }
}

impl<E> From<rusqlite::Error> for Fallo<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
