//! What lies beside a file, and of which file it is.
//!
//! `SQLite` finds its log (`-wal`) and the log's index (`-shm`) by their names alone: who opens a copy that was moved to the
//! place of another file plays the log of that one into the copy, and damages it. So a note (`-diario-de`) keeps of which
//! file they are, and who opens puts aside what is of another. Only what is known to be of another is: a log that was moved
//! in along with its file stays.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::derechos::crear_junto;
use crate::error::{Causa, ErrorArchivo};
use crate::fichero::{Fichero, Ficheros};
use crate::transaccion::Fallo;

/// How often somebody else's note is looked at.
const PASO: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Junto {
    /// As it was named: it may be a link, and lead elsewhere later.
    ruta: PathBuf,
    base: PathBuf,
    diario: PathBuf,
    indice: PathBuf,
    nota: PathBuf,
    /// Where a log goes that is of another file.
    apartado: PathBuf,
}

/// Of which file the log is. Who holds it is the only one to open the file.
#[derive(Debug)]
pub(crate) struct Nota {
    fichero: File,
    ruta: PathBuf,
}

impl Junto {
    /// What lies beside the file at `ruta`, which should be there by now.
    pub(crate) fn a(ruta: &Path) -> Self {
        // `SQLite` names its files after the file itself, not after a link to it.
        let base = ruta.canonicalize().unwrap_or_else(|_| ruta.to_owned());
        let junto = |sufijo| {
            let mut nombre = base.clone().into_os_string();
            nombre.push(sufijo);
            PathBuf::from(nombre)
        };
        Self {
            ruta: ruta.to_owned(),
            diario: junto("-wal"),
            indice: junto("-shm"),
            nota: junto("-diario-de"),
            apartado: junto("-wal-replaced"),
            base,
        }
    }

    /// What lies there now.
    pub(crate) fn ahora(&self) -> Result<Ficheros, Fallo<ErrorArchivo>> {
        Ok(Ficheros {
            base: Fichero::en(&self.ruta)?,
            diario: Fichero::en(&self.diario).ok(),
            indice: Fichero::en(&self.indice).ok(),
        })
    }

    /// The note, if there is one, or else a new one where `crear`; waits until nobody else holds it.
    ///
    /// One that can not be had keeps nobody from opening the file: then it is as if there were none.
    pub(crate) fn nota(
        &self,
        crear: bool,
        hasta: Instant,
    ) -> Result<Option<Nota>, Fallo<ErrorArchivo>> {
        let abierto = OpenOptions::new().read(true).write(true).open(&self.nota);
        let abierto = match abierto {
            Err(error) if error.kind() == ErrorKind::NotFound && !crear => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                crear_junto(&self.nota, &self.base)
            }
            otro => otro,
        };
        let tomado = abierto.and_then(|fichero| Ok(tomar(&fichero, hasta)?.then_some(fichero)));
        match tomado {
            Ok(Some(fichero)) => Ok(Some(Nota {
                fichero,
                ruta: self.nota.clone(),
            })),
            Ok(None) => Err(Fallo::Archivo(Causa::Ocupado)),
            Err(error) => {
                sin_nota(&self.nota, &error);
                Ok(None)
            }
        }
    }

    /// Puts aside the log of `ajenos` if another file has taken that one's place. With the note held.
    ///
    /// These alone: another process may have done it and gone on with others of the same names. What a log holds is kept
    /// under a name that `SQLite` does not know: it is all that is left of its transactions if whoever wrote them is gone.
    pub(crate) fn apartar(&self, ajenos: &Ficheros) -> Result<(), Fallo<ErrorArchivo>> {
        match Fichero::en(&self.base) {
            Ok(otra) if otra != ajenos.base => {}
            // The same, or none: it may be put back.
            _ => return Ok(()),
        }
        let es = |ruta, ajeno: Option<Fichero>| ajeno.is_some() && Fichero::en(ruta).ok() == ajeno;
        if es(&self.diario, ajenos.diario) {
            if fs::metadata(&self.diario).is_ok_and(|diario| diario.len() > 0) {
                fs::rename(&self.diario, &self.apartado).map_err(|e| queda(&self.diario, e))?;
                tracing::warn!(
                    file = %self.base.display(),
                    log = %self.apartado.display(),
                    "the log of the file that was here before was put aside: what that one had not taken over yet is there"
                );
            } else {
                fs::remove_file(&self.diario).map_err(|e| queda(&self.diario, e))?;
            }
        }
        if es(&self.indice, ajenos.indice) {
            fs::remove_file(&self.indice).map_err(|e| queda(&self.indice, e))?;
        }
        Ok(())
    }
}

impl Nota {
    pub(crate) fn leer(&mut self) -> Option<Ficheros> {
        let mut texto = String::new();
        self.fichero.rewind().ok()?;
        self.fichero.read_to_string(&mut texto).ok()?;
        Ficheros::leidos(&texto)
    }

    pub(crate) fn escribir(&mut self, ficheros: Ficheros) {
        if self.leer() == Some(ficheros) {
            return;
        }
        let escrito = self
            .fichero
            .set_len(0)
            .and_then(|()| self.fichero.rewind())
            .and_then(|()| self.fichero.write_all(ficheros.escritos().as_bytes()));
        if let Err(error) = escrito {
            sin_nota(&self.ruta, &error);
        }
    }
}

fn sin_nota(nota: &Path, error: &io::Error) {
    tracing::warn!(
        file = %nota.display(),
        %error,
        "it can not be kept of which file the log is: end all that use the file before another is put in its place"
    );
}

fn queda(fichero: &Path, fuente: io::Error) -> Fallo<ErrorArchivo> {
    Fallo::Archivo(Causa::DiarioAjeno(fichero.to_owned(), fuente))
}

/// False if others have held it for so long.
fn tomar(fichero: &File, hasta: Instant) -> io::Result<bool> {
    loop {
        match fichero.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < hasta => thread::sleep(PASO),
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
    }
}
