//! Which files lie at a path and beside it: the open ones, or others that took their places. What is mended here belongs
//! into `broker/sqlite/beside.rs` of `taskq-core` as well, which keeps the same of the embedded broker's file.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::error::{Causa, ErrorArchivo};
use crate::transaccion::Fallo;

/// A file, whatever it is called: device, number, and when it was made (ns; 0 where that is not told). The number of one
/// that is open is given to no other, that of one that is gone may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fichero(u64, u64, u64);

/// A database, the log (`-wal`) that `SQLite` keeps beside it, and the log's index (`-shm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ficheros {
    pub(crate) base: Fichero,
    pub(crate) diario: Option<Fichero>,
    pub(crate) indice: Option<Fichero>,
}

impl Fichero {
    /// The file at `ruta`; one look at the folder, about a microsecond.
    pub(crate) fn en(ruta: &Path) -> Result<Self, Fallo<ErrorArchivo>> {
        match fs::metadata(ruta) {
            Ok(datos) => Ok(Self::de(&datos)),
            Err(fuente) if fuente.kind() == ErrorKind::NotFound => {
                Err(Fallo::Archivo(Causa::Desaparecido))
            }
            Err(fuente) => Err(Fallo::Archivo(Causa::Vista(fuente))),
        }
    }

    #[cfg(unix)]
    fn de(datos: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let hecho = datos.created().ok();
        let desde = hecho.and_then(|hecho| hecho.duration_since(UNIX_EPOCH).ok());
        let ns = desde.map_or(0, |desde| {
            u64::try_from(desde.as_nanos()).unwrap_or(u64::MAX)
        });
        Self(datos.dev(), datos.ino(), ns)
    }

    /// Elsewhere an open file can neither be removed nor replaced.
    #[cfg(not(unix))]
    fn de(_datos: &Metadata) -> Self {
        Self(0, 0, 0)
    }

    /// Whether it is known of these two if they are one file, also when one of them is gone: its number may be given again
    /// then, and a disk that is mounted anew may be told by another number.
    fn se_distingue(self, otro: Self) -> bool {
        self.0 == otro.0 && self.2 != 0 && otro.2 != 0
    }

    fn leido(linea: &str) -> Option<Self> {
        let mut numeros = linea.split(' ').map(|n| n.parse().ok());
        Some(Self(numeros.next()??, numeros.next()??, numeros.next()??))
    }
}

impl fmt::Display for Fichero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(dispositivo, numero, hecho) = self;
        write!(f, "{dispositivo} {numero} {hecho}")
    }
}

impl Ficheros {
    /// What of a note counts where `base` lies now: the files that it is of may be gone, and their numbers be of others.
    pub(crate) fn ciertos(self, base: Fichero) -> Self {
        let cierto = |f: &Fichero| self.base.se_distingue(base) && f.se_distingue(base);
        Self {
            base: self.base,
            diario: self.diario.filter(cierto),
            indice: self.indice.filter(cierto),
        }
    }

    /// As a note keeps them: a line each, `-` for one that is not there.
    pub(crate) fn escritos(self) -> String {
        let linea = |f: Option<Fichero>| f.map_or("-".to_owned(), |f| f.to_string());
        [Some(self.base), self.diario, self.indice]
            .map(linea)
            .join("\n")
    }

    /// `None` for what was not written whole.
    pub(crate) fn leidos(texto: &str) -> Option<Self> {
        let mut lineas = texto.lines().map(Fichero::leido);
        let ficheros = Self {
            base: lineas.next()??,
            diario: lineas.next()?,
            indice: lineas.next()?,
        };
        (ficheros.escritos() == texto).then_some(ficheros)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fichero, Ficheros};

    #[test]
    fn what_was_written_whole_is_read_and_nothing_else() {
        let ficheros = Ficheros {
            base: Fichero(1, 22, 333),
            diario: Some(Fichero(1, 23, 0)),
            indice: None,
        };
        let texto = ficheros.escritos();
        assert_eq!(Ficheros::leidos(&texto), Some(ficheros));
        for roto in [
            "",
            "1 22 333",
            "1 22 333\n1 23 0\n",
            "1 2x 333\n-\n-",
            "-\n-\n-",
            &texto[1..],
        ] {
            assert_ne!(Ficheros::leidos(roto), Some(ficheros), "{roto:?}");
        }
        assert_eq!(Ficheros::leidos("1 22 333\n1 23\n-"), None);
    }

    /// Without the time when it was made a number is no word to go by: the next file gets it.
    #[test]
    fn what_may_be_of_another_file_by_now_does_not_count() {
        let hay = Fichero(1, 30, 999);
        let anotados = |base, diario| Ficheros {
            base,
            diario: Some(diario),
            indice: Some(Fichero(1, 24, 335)),
        };
        let todo = anotados(Fichero(1, 22, 333), Fichero(1, 23, 334));
        assert_eq!(todo.ciertos(hay), todo);
        let diario = |base, diario, hay| anotados(base, diario).ciertos(hay).diario;
        let (base, suyo) = (todo.base, Fichero(1, 23, 334));
        for (base, suyo, hay) in [
            (base, Fichero(1, 23, 0), hay),
            (Fichero(1, 22, 0), suyo, hay),
            (base, suyo, Fichero(1, 30, 0)),
            (base, suyo, Fichero(2, 30, 999)),
            (base, Fichero(2, 23, 334), hay),
        ] {
            assert_eq!(diario(base, suyo, hay), None, "{base} {suyo} {hay}");
        }
    }
}
