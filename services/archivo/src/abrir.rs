//! Opening a file, which may be new, or being created by another process right now.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::clase::Clase;
use crate::derechos::{crear_carpeta, crear_fichero};
use crate::error::{Causa, ErrorArchivo};
use crate::fichero::{Fichero, Ficheros};
use crate::junto::{Junto, Nota};
use crate::transaccion::Fallo;

/// How long a call waits for other processes' locks.
const ESPERA: Duration = Duration::from_secs(5);

/// How often a file is opened that is replaced meanwhile.
const INTENTOS: usize = 5;

/// A SQLite file that several processes share.
///
/// Clones share one connection; its calls block, and wait up to 5 s for other writers. What lies at the path counts: a
/// file that takes the place of this one is used from the next call on, and while none is there calls fail with
/// [`Causa::Desaparecido`]. A log that is known to be of a file that was here before is not played into the one that took
/// its place: it is put aside, as `-wal-replaced` (`-wal-replaced-2`, …), by whoever opens that one first. A file whose log
/// is taken away from it is not used any more ([`Causa::SinDiario`]).
#[derive(Clone)]
pub struct Archivo {
    pub(crate) interior: Arc<Interior>,
}

pub(crate) struct Interior {
    pub(crate) clase: &'static Clase,
    pub(crate) ruta: PathBuf,
    preparar: Preparar,
    pub(crate) abierto: Mutex<Abierto>,
}

/// Makes the tables of a file that has those of an earlier version; of a new file that is 0.
pub type Preparar = fn(&Transaction<'_>, i64) -> Result<(), rusqlite::Error>;

/// An open connection, and which files it is to: a path may get others meanwhile.
pub(crate) struct Abierto {
    pub(crate) conexion: Connection,
    junto: Junto,
    ficheros: Ficheros,
}

impl Archivo {
    /// Opens the file, creating it, its folder and its tables if it is new.
    ///
    /// `preparar` makes the tables, in a transaction that holds the write lock; it is given the version that the file
    /// has: 0 for a new one, else an earlier one than `clase`'s, whose tables it brings to this one. Any number of
    /// processes may open the same new file at once: one of them fills it. What is new is this user's alone (0600, folders
    /// 0700); what is there keeps its rights.
    ///
    /// # Errors
    /// [`Causa::Carpeta`], [`Causa::Inservible`] for a file of another kind, [`Causa::EsquemaNuevo`] for one of a newer
    /// program, and the database's failures.
    pub fn abrir(
        clase: &'static Clase,
        ruta: impl Into<PathBuf>,
        preparar: Preparar,
    ) -> Result<Self, ErrorArchivo> {
        let ruta = ruta.into();
        let abierto = crear_carpeta(&ruta)
            .map_err(|fuente| Fallo::Archivo(Causa::Carpeta(fuente)))
            .and_then(|()| {
                let crear = OpenFlags::SQLITE_OPEN_CREATE;
                Abierto::abrir(clase, &ruta, preparar, crear, None)
            })
            .map_err(|fallo| fallo.en(clase, &ruta))?;
        Ok(Self {
            interior: Arc::new(Interior {
                clase,
                ruta,
                preparar,
                abierto: Mutex::new(abierto),
            }),
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn ruta(&self) -> &Path {
        &self.interior.ruta
    }
}

impl Interior {
    /// The file at the path: the open one, or that which took its place. It makes none, so that a file that is put back
    /// is not in the way of a new one.
    pub(crate) fn seguir(&self, abierto: &mut Abierto) -> Result<(), Fallo<ErrorArchivo>> {
        let hay = abierto.junto.ahora()?;
        if hay == abierto.ficheros {
            return Ok(());
        }
        if hay.base != abierto.ficheros.base {
            abierto.completar();
            let (nada, antes) = (OpenFlags::empty(), Some(abierto.ficheros));
            *abierto = Abierto::abrir(self.clase, &self.ruta, self.preparar, nada, antes)?;
            return Ok(());
        }
        // Whoever opened it since has a log there, and has gone on without what is in ours.
        if hay.diario.is_none() {
            abierto.completar();
        }
        // Not opened anew: within a process `SQLite` goes on with the index that another connection has open.
        Err(Fallo::Archivo(Causa::SinDiario))
    }
}

impl Abierto {
    /// `antes`: what was open at this path before.
    fn abrir(
        clase: &'static Clase,
        ruta: &Path,
        preparar: Preparar,
        crear: OpenFlags,
        antes: Option<Ficheros>,
    ) -> Result<Self, Fallo<ErrorArchivo>> {
        for _ in 0..INTENTOS {
            if !crear.is_empty() {
                crear_fichero(ruta);
            }
            let hasta = Instant::now() + ESPERA;
            let junto = Junto::a(ruta);
            let ajeno = antes.is_some_and(|antes| junto.tiene(&antes));
            let mut nota = junto.nota(ajeno, hasta)?;
            if let Some(anotados) = nota.as_mut().and_then(Nota::leer) {
                junto.apartar_anotados(anotados)?;
            }
            match (antes, &nota) {
                (Some(antes), Some(_)) => junto.apartar(&antes)?,
                // Without the note another process may have put it aside by then, and its own lie there.
                (Some(_), None) if ajeno => return Err(junto.sin_apartar()),
                _ => {}
            }
            let base = junto.base();
            let conexion = match conectar(clase, ruta, preparar, crear) {
                Err(fallo) if crear.is_empty() => {
                    // Gone again is the better answer.
                    Fichero::en(ruta)?;
                    return Err(fallo);
                }
                hecho => hecho?,
            };
            // Only now: beside another program's database nothing is laid. Of what was opened without it nothing is known:
            // others may have opened another file of this name meanwhile. So once more, with the note.
            if nota.is_none() && junto.nota(true, hasta)?.is_some() {
                continue;
            }
            let ficheros = junto.ahora()?;
            // If it was replaced meanwhile, it is not known of which of both what lies beside it is: nothing is noted.
            if base == Some(ficheros.base) {
                if let Some(nota) = &mut nota {
                    nota.escribir(ficheros);
                }
                return Ok(Self {
                    conexion,
                    junto,
                    ficheros,
                });
            }
        }
        Err(Fallo::Archivo(Causa::Ocupado))
    }

    /// Whether what was written is in the file at the path.
    pub(crate) fn sigue(&self) -> Result<(), Fallo<ErrorArchivo>> {
        if self.junto.ahora()? == self.ficheros {
            return Ok(());
        }
        Err(Fallo::Archivo(Causa::Reemplazado))
    }

    /// So that the old file is whole, wherever it lies now. If that can not be, it is as it would be after a crash.
    fn completar(&self) {
        let entero = "PRAGMA wal_checkpoint(TRUNCATE)";
        if let Err(error) = self.conexion.query_row(entero, [], |_| Ok(())) {
            tracing::debug!(%error, "the file that was replaced may lack its last transactions");
        }
    }
}

impl fmt::Debug for Archivo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archivo")
            .field("ruta", &self.interior.ruta)
            .finish_non_exhaustive()
    }
}

fn conectar(
    clase: &'static Clase,
    ruta: &Path,
    preparar: Preparar,
    crear: OpenFlags,
) -> Result<Connection, Fallo<ErrorArchivo>> {
    // Not SQLITE_OPEN_URI, which would give a path that starts with `file:` another meaning.
    let modo = OpenFlags::SQLITE_OPEN_READ_WRITE | crear | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conexion = Connection::open_with_flags(ruta, modo)?;
    conexion.busy_timeout(ESPERA)?;
    // Before anything is written: a foreign or newer file stays as it is.
    comprobar(&conexion, clase)?;
    activar_wal(&conexion)?;
    // FULL: what was answered must survive a power cut, not only a crash.
    conexion.pragma_update(None, "synchronous", "FULL")?;
    conexion.pragma_update(None, "foreign_keys", true)?;
    let tx = conexion.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made the tables meanwhile.
    let version = comprobar(&tx, clase)?;
    if version != clase.version {
        preparar(&tx, version)?;
        tx.pragma_update(None, "application_id", clase.marca)?;
        tx.pragma_update(None, "user_version", clase.version)?;
    }
    tx.commit()?;
    Ok(conexion)
}

/// The version of the file's tables, 0 when it has none. Refuses a file that this program must not write: a newer one,
/// or another program's.
fn comprobar(conexion: &Connection, clase: &Clase) -> Result<i64, Fallo<ErrorArchivo>> {
    // One statement reads all three: another process may create the tables meanwhile.
    let (version, marca, vacia): (i64, i32, bool) = conexion.query_row(
        "SELECT user_version, application_id, NOT EXISTS (SELECT 1 FROM sqlite_schema)
         FROM pragma_user_version, pragma_application_id",
        [],
        |fila| Ok((fila.get(0)?, fila.get(1)?, fila.get(2)?)),
    )?;
    let ajena = || Causa::Inservible("it is another program's database".to_owned());
    match version {
        _ if !vacia && marca != clase.marca => Err(Fallo::Archivo(ajena())),
        v if v > clase.version => Err(Fallo::Archivo(Causa::EsquemaNuevo(v))),
        v if v >= 1 => Ok(v),
        _ if vacia => Ok(0),
        _ => Err(Fallo::Archivo(ajena())),
    }
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
