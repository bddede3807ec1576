//! Opening the stock file, which may be new, or being created by another process right now.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{Abierto, Almacen, Fallo, Fichero, Interior, esquema};
use crate::error::AlmacenError;

/// How long a call waits for other processes' locks.
const ESPERA: Duration = Duration::from_secs(5);

impl Almacen {
    /// Opens the stock file, creating it, its folder and its content if it is new.
    ///
    /// Any number of processes may open the same new file at once: one of them fills it.
    ///
    /// # Errors
    /// [`AlmacenError::Carpeta`], [`AlmacenError::Inservible`] for a file that is no stock file,
    /// [`AlmacenError::EsquemaNuevo`] for one of a newer program, and the database's failures.
    pub fn abrir(ruta: impl Into<PathBuf>) -> Result<Self, AlmacenError> {
        let ruta = ruta.into();
        crear_carpeta(&ruta)?;
        let abierto = Abierto::abrir(&ruta, OpenFlags::SQLITE_OPEN_CREATE);
        let abierto = abierto.map_err(|fallo| fallo.en(&ruta))?;
        Ok(Self {
            interior: Arc::new(Interior {
                ruta,
                abierto: Mutex::new(abierto),
            }),
        })
    }
}

impl Abierto {
    /// Opens the file that took the place of the one that was open; makes none, so that a file that is
    /// put back is not in the way of a new one.
    pub(super) fn reabrir(ruta: &Path) -> Result<Self, Fallo> {
        Self::abrir(ruta, OpenFlags::empty())
    }

    fn abrir(ruta: &Path, crear: OpenFlags) -> Result<Self, Fallo> {
        let hasta = Instant::now() + ESPERA;
        while Instant::now() < hasta {
            let antes = Fichero::en(ruta).ok();
            let conexion = match conectar(ruta, crear) {
                Err(fallo) if crear.is_empty() => {
                    Fichero::en(ruta)?;
                    return Err(fallo);
                }
                hecho => hecho?,
            };
            let fichero = Fichero::en(ruta)?;
            // Else it is new, or was replaced meanwhile: which of both was opened is not known.
            if antes == Some(fichero) {
                return Ok(Self { conexion, fichero });
            }
        }
        let ruta = ruta.to_owned();
        Err(AlmacenError::Ocupado { ruta }.into())
    }
}

fn crear_carpeta(ruta: &Path) -> Result<(), AlmacenError> {
    let Some(carpeta) = ruta.parent().filter(|c| !c.as_os_str().is_empty()) else {
        return Ok(());
    };
    fs::create_dir_all(carpeta).map_err(|fuente| AlmacenError::Carpeta {
        ruta: carpeta.to_owned(),
        fuente,
    })
}

fn conectar(ruta: &Path, crear: OpenFlags) -> Result<Connection, Fallo> {
    // Not SQLITE_OPEN_URI, which would give a path that starts with `file:` another meaning.
    let modo = OpenFlags::SQLITE_OPEN_READ_WRITE | crear | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conexion = Connection::open_with_flags(ruta, modo)?;
    conexion.busy_timeout(ESPERA)?;
    // Before anything is written: a foreign or newer file stays as it is.
    esquema::comprobar(&conexion, ruta)?;
    activar_wal(&conexion)?;
    // FULL: a booking that was answered must survive a power cut, not only a crash.
    conexion.pragma_update(None, "synchronous", "FULL")?;
    conexion.pragma_update(None, "foreign_keys", true)?;
    let tx = conexion.transaction_with_behavior(TransactionBehavior::Immediate)?;
    esquema::crear_si_falta(&tx, ruta)?;
    tx.commit()?;
    Ok(conexion)
}

/// Switches the file to write-ahead logging, in which readers and the writer don't block each other.
///
/// The switch needs the file for itself and `SQLite` doesn't wait for that, so this does.
fn activar_wal(conexion: &Connection) -> Result<(), rusqlite::Error> {
    let hasta = Instant::now() + ESPERA;
    loop {
        match conexion.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if ocupada(&e) && Instant::now() < hasta => {
                thread::sleep(Duration::from_millis(10));
            }
            hecho => return hecho,
        }
    }
}

fn ocupada(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
