//! What can go wrong with a file, said so that the reader knows what to change.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::clase::Clase;

/// A file that can not be opened, read or written.
#[derive(Debug)]
pub struct ErrorArchivo {
    /// Which kind of file.
    pub clase: &'static Clase,
    /// The file.
    pub ruta: PathBuf,
    /// What went wrong.
    pub causa: Causa,
}

/// What went wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Causa {
    /// Other processes held its write lock for longer than the wait.
    Ocupado,
    /// It was removed or moved away while it was open.
    Desaparecido,
    /// Another file took its place during the call: what was written may be in the old one alone.
    Reemplazado,
    /// Its log was removed or replaced while it was open.
    SinDiario,
    /// The log of the file that it took the place of can not be put aside: which, and why.
    DiarioAjeno(PathBuf, io::Error),
    /// The disk refused a read or write, for instance because it is full.
    Disco(Box<rusqlite::Error>),
    /// It can not be looked for.
    Vista(io::Error),
    /// Its folder could not be created.
    Carpeta(io::Error),
    /// It is corrupt, or another program's; the text says which.
    Inservible(String),
    /// A newer program wrote it: the version it carries.
    EsquemaNuevo(i64),
    /// Any other failure of the database.
    Base(Box<rusqlite::Error>),
}

impl ErrorArchivo {
    /// Whether the same call may succeed later with nothing changed in it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.causa {
            Causa::Ocupado
            | Causa::Desaparecido
            | Causa::Reemplazado
            | Causa::SinDiario
            | Causa::DiarioAjeno(..)
            | Causa::Disco(_)
            | Causa::Vista(_) => true,
            Causa::Carpeta(fuente) => matches!(
                fuente.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            Causa::Inservible(_) | Causa::EsquemaNuevo(_) | Causa::Base(_) => false,
        }
    }

    /// Sorts a driver error by what the caller can do about it.
    pub(crate) fn de_sqlite(clase: &'static Clase, ruta: PathBuf, error: rusqlite::Error) -> Self {
        let causa = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Causa::Ocupado,
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Causa::Disco(error.into()),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Causa::Inservible(error.to_string())
            }
            _ => Causa::Base(error.into()),
        };
        Self { clase, ruta, causa }
    }
}

impl fmt::Display for ErrorArchivo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clase {
            que,
            variable,
            version,
            ..
        } = self.clase;
        let ruta = self.ruta.display();
        match &self.causa {
            Causa::Ocupado => write!(f, "the {que} {ruta} is busy: try again shortly"),
            Causa::Desaparecido => write!(
                f,
                "the {que} {ruta} is gone: put it back, or start the program again, which makes a new one"
            ),
            Causa::Reemplazado => write!(
                f,
                "the {que} {ruta} was replaced by another file just now: what was asked may be in the old one alone; try again"
            ),
            Causa::SinDiario => write!(
                f,
                "the {que} {ruta} was left without its log (-wal, -shm), which was removed or replaced while it was open: \
                 end all that use it, and start them again"
            ),
            Causa::DiarioAjeno(fichero, fuente) => write!(
                f,
                "{} is of the {que} that was replaced and can not be put aside ({fuente}): end all that use it, remove it, \
                 and start them again",
                fichero.display()
            ),
            Causa::Vista(fuente) => write!(
                f,
                "the {que} {ruta} can not be looked for: {fuente}; let this user into its folder, or mend the disk"
            ),
            Causa::Disco(fuente) => write!(
                f,
                "the disk failed under the {que} {ruta}: {fuente}; free space or mend it, then try again"
            ),
            Causa::Carpeta(fuente) => {
                let carpeta = self.ruta.parent().unwrap_or(&self.ruta);
                let es_fichero = |c: &&Path| c.metadata().is_ok_and(|hay| !hay.is_dir());
                if let Some(fichero) = carpeta.ancestors().find(es_fichero) {
                    return write!(
                        f,
                        "{} is a file, not a folder: set {variable} to another path than {ruta}",
                        fichero.display()
                    );
                }
                let carpeta = carpeta.display();
                write!(
                    f,
                    "cannot create the folder {carpeta}: {fuente}; create it or set {variable} to another path"
                )
            }
            Causa::Inservible(motivo) => write!(
                f,
                "{ruta} is not a usable {que} ({motivo}): restore it from a backup or set {variable} to another path"
            ),
            Causa::EsquemaNuevo(encontrada) => write!(
                f,
                "the {que} {ruta} has schema version {encontrada}, this program knows up to {version}: upgrade the program"
            ),
            Causa::Base(fuente) => write!(f, "the {que} {ruta} failed: {fuente}"),
        }
    }
}

impl Error for ErrorArchivo {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.causa {
            Causa::Disco(fuente) | Causa::Base(fuente) => Some(&**fuente),
            Causa::Carpeta(fuente) | Causa::Vista(fuente) | Causa::DiarioAjeno(_, fuente) => {
                Some(fuente)
            }
            Causa::Ocupado
            | Causa::Desaparecido
            | Causa::Reemplazado
            | Causa::SinDiario
            | Causa::Inservible(_)
            | Causa::EsquemaNuevo(_) => None,
        }
    }
}
