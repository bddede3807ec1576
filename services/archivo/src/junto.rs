//! What lies beside a file, and of which file it is.
//!
//! `SQLite` finds its log (`-wal`) and the log's index (`-shm`) by their names alone: who opens a copy that was moved to the
//! place of another file plays the log of that one into the copy, and damages it. So a note (`-diario-de`) keeps of which
//! file they are, and who opens puts aside what is of another. Only what is known to be of another is: a log that was moved
//! in along with its file stays, and so does one of which nothing is known.
//!
//! What is mended here belongs into `broker/sqlite/beside.rs` of `taskq-core` as well, which does the same for the embedded
//! broker's file.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::derechos::{abrir_junto, crear_junto, esta_en};
use crate::error::{Causa, ErrorArchivo};
use crate::fichero::{Fichero, Ficheros};
use crate::transaccion::Fallo;

/// How often somebody else's note is looked at.
const PASO: Duration = Duration::from_millis(2);

/// So many logs that were put aside may lie beside a file.
const APARTADOS: usize = 1_000;

/// No note is longer.
const LARGO: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Junto {
    /// As it was named: it may be a link, and lead elsewhere later.
    ruta: PathBuf,
    base: PathBuf,
    diario: PathBuf,
    indice: PathBuf,
    nota: PathBuf,
    /// Where a log goes that is of another file, followed by a number if there is one already.
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
        loop {
            let abierto = match abrir_junto(&self.nota) {
                Err(error) if error.kind() == ErrorKind::NotFound && !crear => return Ok(None),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    crear_junto(&self.nota, &self.base)
                }
                otro => otro,
            };
            let tomado = abierto.and_then(|fichero| Ok(tomar(&fichero, hasta)?.then_some(fichero)));
            match tomado {
                // Somebody removed it meanwhile: others hold the one that is there now.
                Ok(Some(fichero)) if !esta_en(&fichero, &self.nota) => {}
                Ok(Some(fichero)) => {
                    return Ok(Some(Nota {
                        fichero,
                        ruta: self.nota.clone(),
                    }));
                }
                Ok(None) => return Err(Fallo::Archivo(Causa::Ocupado)),
                Err(error) => {
                    sin_nota(&self.nota, &error);
                    return Ok(None);
                }
            }
            if Instant::now() >= hasta {
                return Err(Fallo::Archivo(Causa::Ocupado));
            }
        }
    }

    /// The file itself, which a link may lead to.
    pub(crate) fn base(&self) -> Option<Fichero> {
        Fichero::en(&self.base).ok()
    }

    /// Whether another file lies there, beside what is of `ajenos`.
    pub(crate) fn tiene(&self, ajenos: &Ficheros) -> bool {
        self.base().is_some_and(|base| base != ajenos.base)
            && (hay(&self.diario, ajenos.diario) || hay(&self.indice, ajenos.indice))
    }

    /// Why what is of another file stays where nobody can be kept out meanwhile.
    pub(crate) fn sin_apartar(&self) -> Fallo<ErrorArchivo> {
        let fuente = io::Error::other(format!("{} can not be locked", self.nota.display()));
        queda(&self.diario, fuente)
    }

    /// The same as [`apartar`](Self::apartar) for what a note says: as far as it is certain by now.
    pub(crate) fn apartar_anotados(&self, anotados: Ficheros) -> Result<(), Fallo<ErrorArchivo>> {
        match self.base() {
            Some(hay) => self.apartar(&anotados.ciertos(hay)),
            None => Ok(()),
        }
    }

    /// Puts aside the log of `ajenos` if another file has taken that one's place. With the note held.
    ///
    /// These alone: another process may have done it and gone on with others of the same names. What a log holds is kept
    /// under a name that `SQLite` does not know: it is all that is left of its transactions if whoever wrote them is gone.
    pub(crate) fn apartar(&self, ajenos: &Ficheros) -> Result<(), Fallo<ErrorArchivo>> {
        match self.base() {
            Some(otra) if otra != ajenos.base => {}
            // The same, or none: it may be put back.
            _ => return Ok(()),
        }
        if hay(&self.diario, ajenos.diario) {
            if fs::metadata(&self.diario).is_ok_and(|diario| diario.len() > 0) {
                let apartado = self.mover_diario().map_err(|e| queda(&self.diario, e))?;
                tracing::warn!(
                    file = %self.base.display(),
                    log = %apartado.display(),
                    "the log of the file that was here before was put aside: what that one had not taken over yet is there"
                );
            } else {
                fs::remove_file(&self.diario).map_err(|e| queda(&self.diario, e))?;
            }
        }
        if hay(&self.indice, ajenos.indice) {
            fs::remove_file(&self.indice).map_err(|e| queda(&self.indice, e))?;
        }
        Ok(())
    }

    /// Where it is now: never in the place of one that was put aside before.
    fn mover_diario(&self) -> io::Result<PathBuf> {
        for n in 1..=APARTADOS {
            let mut nombre = self.apartado.clone().into_os_string();
            if n > 1 {
                nombre.push(format!("-{n}"));
            }
            let nombre = PathBuf::from(nombre);
            match mover(&self.diario, &nombre) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                movido => return movido.map(|()| nombre),
            }
        }
        Err(io::Error::other(format!(
            "{APARTADOS} others were put aside"
        )))
    }
}

impl Nota {
    pub(crate) fn leer(&mut self) -> Option<Ficheros> {
        let mut texto = String::new();
        self.fichero.rewind().ok()?;
        let bytes = (&self.fichero).take(LARGO);
        { bytes }.read_to_string(&mut texto).ok()?;
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
            .and_then(|()| self.fichero.write_all(ficheros.escritos().as_bytes()))
            // A power cut leaves it whole, or not to be read: then nothing is known.
            .and_then(|()| self.fichero.sync_all());
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

/// Whether that file is there, not another.
fn hay(ruta: &Path, fichero: Option<Fichero>) -> bool {
    fichero.is_some() && Fichero::en(ruta).ok() == fichero
}

/// Gives the file another name, which is not there yet.
fn mover(de: &Path, a: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, de, CWD, a, RenameFlags::NOREPLACE) {
            // Not every disk can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            hecho => return Ok(hecho?),
        }
    }
    // A link takes no other's place either.
    fs::hard_link(de, a)?;
    fs::remove_file(de)
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const MUCHO: Duration = Duration::from_secs(60);

    fn junto(carpeta: &Path) -> Junto {
        fs::write(carpeta.join("x.db"), "").unwrap();
        Junto::a(&carpeta.join("x.db"))
    }

    /// How many times this process has it open.
    fn abiertos(fichero: &Path) -> usize {
        let todos = fs::read_dir("/proc/self/fd").unwrap();
        let lleva = |d: io::Result<fs::DirEntry>| fs::read_link(d.ok()?.path()).ok();
        todos.filter_map(lleva).filter(|a| a == fichero).count()
    }

    #[test]
    fn a_note_that_was_removed_while_it_was_waited_for_is_not_taken() {
        let carpeta = tempfile::tempdir().unwrap();
        let junto = junto(&carpeta.path().canonicalize().unwrap());
        let hasta = Instant::now() + MUCHO;
        let primera = junto.nota(true, hasta).unwrap().unwrap();
        thread::scope(|s| {
            let otro = s.spawn(|| junto.nota(true, hasta).unwrap().unwrap());
            while abiertos(&junto.nota) < 2 {
                thread::yield_now();
            }
            fs::remove_file(&junto.nota).unwrap();
            drop(primera);
            let segunda = otro.join().unwrap();
            assert!(esta_en(&segunda.fichero, &junto.nota));
        });
    }

    /// Whoever may write to the folder could have root empty any other file.
    #[test]
    fn a_link_in_the_place_of_the_note_is_not_followed() {
        let carpeta = tempfile::tempdir().unwrap();
        let junto = junto(carpeta.path());
        let secreto = carpeta.path().join("secreto");
        fs::write(&secreto, "suyo").unwrap();
        symlink(&secreto, &junto.nota).unwrap();
        let hasta = Instant::now() + MUCHO;
        for crear in [false, true] {
            let nota = junto.nota(crear, hasta).unwrap();
            if let Some(mut nota) = nota {
                nota.escribir(junto.ahora().unwrap());
            }
            assert_eq!(fs::read(&secreto).unwrap(), b"suyo");
        }
        // As if it had been laid only after the look.
        assert!(crear_junto(&junto.nota, &junto.base).is_err());
    }
}
